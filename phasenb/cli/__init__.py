"""The command ``phasenb``: tasks launched, followed and steered from a terminal or from cron.

Rules: this door imports nothing until it is called; commands say what a person needs in words, and with ``--json`` what
a script needs, one JSON object a line; every way to end has its exit code (cli.exits), and no command answers with a
traceback.
"""

from __future__ import annotations


def main() -> None:
    """The entry point of the console script."""
    from phasenb.cli.app import app
    from phasenb.display.streams import be_lenient

    be_lenient()
    app(prog_name="phasenb")
