"""Run the command `relay-monitor`: also `python -m monitor`."""

import sys

from monitor import early_signals


def main() -> None:
    """Run the command `relay-monitor`."""
    if "run" in sys.argv[1:2]:
        early_signals.prepare()
    from monitor.cli import main as run_command  # noqa: PLC0415 - takes a second on a slow machine

    run_command()


if __name__ == "__main__":
    main()
