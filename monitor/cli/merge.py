"""`relay-monitor merge`: the results of many workers as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.load_output import LoadOutput, check_files


def merge(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT.json...", help="The workers' results.")],
    output: Annotated[Path, typer.Option(metavar="FILE.json", help="Where the joined result goes.")] = Path(
        "merged.json"
    ),
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also a page of it.")] = None,
) -> None:
    """Join results of one test exactly: counts, snapshots and sketches are added, no percentile is averaged.

    Held against the objectives that the workers were held against; exit 1 where one is missed, or a worker is missing.
    """
    from monitor.load.merge import merge as joined  # noqa: PLC0415
    from monitor.load.result import read  # noqa: PLC0415

    check_files(output, report)
    plan, ended, objectives = joined([(str(path), read(path)) for path in results])
    told = LoadOutput(plan, objectives, output, report, workers=len(ended.included))
    told.write(ended)
    told.show()
