"""The output of `load` and `merge`: files, summary, exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from monitor.cli.shared import EXIT_BAD, EXIT_INTERRUPTED
from monitor.errors import StartupError
from monitor.streams import shows_colors
from monitor.text_table import terminal_width

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest
    from monitor.load.verdict import Judged, Objective


class LoadOutput:
    """The output of one test: `write` its files as soon as it is finished, then `show` the summary."""

    def __init__(
        self, plan: Plan, wanted: Sequence[Objective], output: Path, report: Path | None = None, *, workers: int = 1
    ) -> None:
        self._plan = plan
        self._wanted = wanted
        self._output, self._report = output, report
        self._workers = workers
        self._finished: FinishedTest | None = None
        self._judged: list[Judged] = []
        self._passed = False
        self._write_error: StartupError | None = None

    def write(self, finished: FinishedTest) -> None:
        """Check the objectives and write the files. An error in writing is raised by `show`, after the summary."""
        import monitor  # noqa: PLC0415
        from monitor.load.conversion import result_of  # noqa: PLC0415
        from monitor.load.verdict import judge, passed  # noqa: PLC0415

        plan = self._plan
        self._finished = finished
        self._judged = judge(plan.scenario, finished.totals, self._wanted)
        self._passed = passed(plan.scenario, finished, self._judged)
        result = result_of(
            plan,
            finished,
            self._judged,
            version=finished.version or monitor.__version__,
            workers=self._workers,
            passed=self._passed and not finished.interrupted,  # the summary says what an interrupted test passed
        )
        try:
            _write(self._output, json.dumps(result.to_json(), indent=2) + "\n")
            if self._report is not None:
                from monitor.load.report import page  # noqa: PLC0415

                _write(self._report, page(plan, finished, self._judged, result))
        except StartupError as error:
            self._write_error = error

    def show(self) -> None:
        """Print the summary, and raise `typer.Exit` unless the test passed.

        Raises `StartupError` if a file could not be written.
        """
        from monitor.load.text import Summary  # noqa: PLC0415

        finished = self._finished
        assert finished is not None, "show after write"
        try:
            summary = Summary(
                self._plan,
                finished,
                self._judged,
                colour=shows_colors(sys.stdout),
                width=terminal_width(sys.stdout),
            )
            for line in summary.lines():
                typer.echo(line)
        finally:
            if self._write_error is not None:
                raise self._write_error
        written = [str(path) for path in (self._output, self._report) if path is not None]
        typer.echo(f"written to {' and '.join(written)}", err=True)
        if finished.interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)
        if not self._passed:
            raise typer.Exit(EXIT_BAD)


def check_files(output: Path, report: Path | None) -> None:
    """Raise `BadParameter` if a file cannot be written, before a test of an hour rather than after it."""
    _check_writable(output, "--output")
    if report is not None:
        _check_writable(report, "--report")
        if report.resolve() == output.resolve():
            raise typer.BadParameter(f"{report} is already the file of --output", param_hint="--report")


def _check_writable(path: Path, flag: str) -> None:
    if not path.parent.is_dir():
        raise typer.BadParameter(f"folder {path.parent} does not exist", param_hint=flag)
    exists = path.exists()
    if exists and not (path.is_file() or path.is_dir()):
        return  # opening a pipe or device may block
    try:
        path.open("ab").close()  # permissions do not show a read-only file system
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint=flag) from None
    if not exists:
        path.unlink()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {error.strerror}") from error
