"""``make bench``: phasenb and its peers, interleaved in one run; medians of several rounds; ratios beside targets.

An absolute time means little on a shared machine: the ratio of two medians from the same minutes does.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

ROUNDS = int(os.environ.get("PHASENB_BENCH_ROUNDS", "5"))


@dataclass(frozen=True)
class Comparison:
    """``ratio`` = ours / theirs (``faster``: theirs / ours); it should be at most (at least) ``target``."""

    title: str
    ours: str
    theirs: str
    n: int
    target: float
    faster: bool = False
    unit: str = "ms/task"


COMPARISONS = [
    Comparison("inline, one at a time / five bare FULL commits", "phasenb_inline", "commits", 200, 2.5),
    Comparison(
        "inline, one at a time, against LangGraph SqliteSaver sync", "phasenb_inline", "langgraph", 200, 2.5, True
    ),
    Comparison(
        "64 in flight, against LangGraph on 8 threads", "phasenb_inline_64", "langgraph_8_threads", 960, 5, True
    ),
    Comparison("process, one at a time, against a Dask 3-chain", "phasenb_process", "dask", 100, 3, True),
    Comparison("ctx.track / tqdm, per iteration", "track", "tqdm", 3_000_000, 1.2, unit="ns"),
    Comparison("import phasenb / import pandas", "import_phasenb", "import_pandas", 5, 0.5, unit="ms"),
    Comparison("import phasenb.Workflow / import pandas", "import_workflow", "import_pandas", 5, 0.5, unit="ms"),
]
LIMITS = [
    ("an idle subscribed client: frames in 3 s", "idle_frames", 30, lambda found: found == 0, "0"),
    (
        "1 million ctx.update: server memory, ping p99",
        "million_updates",
        1_000_000,
        lambda found: found["mb"] <= 10 and found["ping_p99_ms"] < 20,
        "at most 10 MB, under 20 ms",
    ),
]


def measure(subject, n):
    command = [sys.executable, "-m", "tests.benchmarks.subjects", subject, str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(wanted):
    comparisons = [each for each in COMPARISONS if not wanted or each.ours in wanted]
    subjects = {name: each.n for each in comparisons for name in (each.ours, each.theirs)}
    found = {name: [] for name in subjects}
    for turn in range(ROUNDS if subjects else 0):
        print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        for name, n in subjects.items():
            found[name].append(measure(name, n))
    for each in comparisons:
        ours, theirs = statistics.median(found[each.ours]), statistics.median(found[each.theirs])
        ratio = theirs / ours if each.faster else ours / theirs
        met = ratio >= each.target if each.faster else ratio <= each.target
        bound = "at least" if each.faster else "at most"
        print(
            f"{'met   ' if met else 'MISSED'} {each.title}: {ratio:.2f} x (target: {bound} {each.target} x); "
            f"{ours:.3g} and {theirs:.3g} {each.unit}"
        )
    for title, subject, n, holds, target in LIMITS:
        if not wanted or subject in wanted:
            value = measure(subject, n)
            print(f"{'met   ' if holds(value) else 'MISSED'} {title}: {value} (target: {target})")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
