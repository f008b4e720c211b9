"""``python -m phasenb`` is the command ``phasenb``."""

from phasenb.cli import main

main()
