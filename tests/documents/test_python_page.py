"""docs/python.md: its examples run, in their order, as one script."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_examples_run(tmp_path):
    blocks = CODE.findall((ROOT / "docs" / "python.md").read_text())
    assert len(blocks) > 4
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY"))}
    environ |= {"PHASENB_STORE_URL": str(tmp_path / "store.db"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
