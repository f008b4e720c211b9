"""What Python says in words, for the TypeScript twin: ``python -m tests.labextension.words`` writes words.json."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phasenb.display import words

VECTORS = Path(__file__).parents[2] / "labextension" / "tests" / "vectors" / "words.json"
SECONDS = [-1.0, 0.0, 0.04, 0.26, 9.949, 9.96, 10.0, 59.99, 60.0, 61.5, 3599.0, 3600.0, 7500.0, 90_061.0]
PERCENTS = [0.0, 0.9, 12.7, 99.0, 99.99, 100.0]
TEXTS = [
    "as it is",
    "\x1b[31mred\x1b[0m \x1b(B",
    "bell\x07 tab\tnew\nline\rreturn",
    "turned \u202eround",
    "🐧" + "é" * 2500,
]
TRACEBACKS = [
    "",
    """Traceback (most recent call last):
  File "/e/lib/python3.11/site-packages/phasenb/x.py", line 3, in run
    f()
  File "/tmp/ipykernel_42/1234.py", line 5, in explore
    table["weight"]
KeyError: 1""",
    """  File "C:\\work\\helpers.py", line 12, in load
  File "/usr/lib/python3.11/json/decoder.py", line 1, in decode
    x""",
    """  File "<frozen importlib._bootstrap>", line 241, in _call
  File "<ipython-input-3>", line 1, in <module>
    1 / 0""",
]


def said():
    """``{name: [[argument, answer], ...]}``."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    own = [(text, words.own_line(text)) for text in TRACEBACKS]
    return {
        "percent": [[value, words.percent(value)] for value in PERCENTS],
        "duration": [[value, words.duration(value)] for value in SECONDS],
        "elapsed": [[value, words.elapsed(start, None, start + timedelta(seconds=value))] for value in SECONDS],
        "plain": [[text, words.plain(text)] for text in TEXTS],
        "own_line": [[text, line and {"where": line.where, "code": line.code}] for text, line in own],
    }


def main():
    VECTORS.write_text(json.dumps(said(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
