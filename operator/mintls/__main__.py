"""``python -m mintls``."""

from mintls.cli.main import main

main(prog_name="mintls")
