"""What `load` and `merge` tell of a result: the files first, then the lines, then the exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from monitor.cli.shared import EXIT_BAD, EXIT_INTERRUPTED
from monitor.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.load.load_runner import Ended
    from monitor.load.plan import Plan
    from monitor.load.verdict import Judged, Objective


class LoadOutput:
    """A result, held against objectives: `write` it as soon as there is one, `show` it afterwards."""

    def __init__(
        self, plan: Plan, wanted: Sequence[Objective], output: Path, report: Path | None = None, *, workers: int = 1
    ) -> None:
        self._plan = plan
        self._wanted = wanted
        self._output, self._report = output, report
        self._workers = workers
        self._ended: Ended | None = None
        self._judged: list[Judged] = []
        self._good = False
        self._fault: StartupError | None = None

    def write(self, ended: Ended) -> None:
        """Judge it and write its files. Where one cannot be written, `show` says so, after all else."""
        import monitor  # noqa: PLC0415
        from monitor.load.result import to_json  # noqa: PLC0415
        from monitor.load.verdict import judge, passed  # noqa: PLC0415

        plan = self._plan
        self._ended = ended
        self._judged = judge(plan.scenario, ended.totals, self._wanted)
        self._good = passed(plan.scenario, ended, self._judged)
        slos = [item.to_json() for item in self._judged]
        meta = ended.meta(monitor.__version__, plan, self._workers)
        # What was stopped on its way is no pass to a program that reads this; people are told what its verdict is of.
        whole = self._good and not ended.interrupted
        result = to_json(plan, ended.totals, meta, slos, ended.began) | {"passed": whole}
        try:
            _write(self._output, json.dumps(result, indent=2) + "\n")
            if self._report is not None:
                _write(self._report, self._page(ended, result))
        except StartupError as error:
            self._fault = error

    def show(self) -> None:
        """Print it, and exit as it deserves. Raises `StartupError` where a file could not be written."""
        from monitor.load.text import Summary  # noqa: PLC0415

        ended = self._ended
        assert ended is not None, "show a result that was written"
        for line in Summary(self._plan, ended, self._judged, colour=sys.stdout.isatty()).lines():
            typer.echo(line)
        if self._fault is not None:
            raise self._fault
        written = [str(path) for path in (self._output, self._report) if path is not None]
        typer.echo(f"written to {' and '.join(written)}", err=True)
        if ended.interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)
        if not self._good:
            raise typer.Exit(EXIT_BAD)

    def _page(self, ended: Ended, result: dict[str, Any]) -> str:
        """The report."""
        from monitor.load.report import page  # noqa: PLC0415
        from monitor.load.text import Summary, show  # noqa: PLC0415

        text = list(Summary(self._plan, ended, self._judged).lines())
        slos = [(item.objective.name, show(item), item.passed) for item in self._judged]
        return page(self._plan, ended.totals, result, passed=result["passed"], text=text, slos=slos)


def check_files(output: Path, report: Path | None) -> None:
    """Whether both can be written: before a test of an hour, rather than after it. Raises `BadParameter`."""
    _check_writable(output, "--output")
    if report is not None:
        _check_writable(report, "--report")
        if report.resolve() == output.resolve():
            raise typer.BadParameter(f"{report} is the file of --output already", param_hint="--report")


def _check_writable(path: Path, flag: str) -> None:
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=flag)
    there = path.exists()
    if there and not (path.is_file() or path.is_dir()):
        return  # a pipe or a device, whose opening may wait
    try:
        path.open("ab").close()  # permissions alone do not tell: a file system can be read-only
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint=flag) from None
    if not there:
        path.unlink()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {error.strerror}") from error
