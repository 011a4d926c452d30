"""Run the command `relay-monitor`: also `python -m monitor`."""

import sys

from monitor import signals


def main() -> None:
    """Run the command `relay-monitor`."""
    is_daemon = "run" in sys.argv[1:2]
    if is_daemon:
        signals.prepare()
        _import_structlog_without_rich()
    from monitor.cli import main as run_command  # noqa: PLC0415 - takes a second on a slow machine

    try:
        run_command()
    finally:
        if is_daemon:
            signals.ignore()  # the end of the interpreter would set the defaults again


def _import_structlog_without_rich() -> None:
    """Import structlog as if rich was not installed: it is 5 MB, for tracebacks that the daemon prints plain."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it raises ImportError
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]


if __name__ == "__main__":
    main()
