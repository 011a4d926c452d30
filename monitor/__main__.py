"""Run the command `relay-monitor`: also `python -m monitor`."""

import sys

from monitor import signals


def main() -> None:
    """Run the command `relay-monitor`."""
    is_daemon = "run" in sys.argv[1:2]
    if is_daemon:
        signals.prepare()
    from monitor.cli import main as run_command  # noqa: PLC0415 - takes a second on a slow machine

    try:
        run_command()
    finally:
        if is_daemon:
            signals.ignore()  # the end of the interpreter would set the defaults again


if __name__ == "__main__":
    main()
