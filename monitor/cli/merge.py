"""`relay-monitor merge`: merges the results of several workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.extras import require
from monitor.cli.load_output import LoadOutput, check_files


def merge(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT.json...", help="Results of the workers.")],
    output: Annotated[Path, typer.Option(metavar="FILE.json", help="Write the merged result here.")] = Path(
        "merged.json"
    ),
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write an HTML report.")] = None,
) -> None:
    """Merge the results of one load test.

    Counts and sketches are added; no percentile is averaged. Checks the objectives of the workers again; exits with 1
    if one is missed, or a worker is missing.

    Examples:
    relay-monitor merge worker-0.json worker-1.json
    relay-monitor merge worker-*.json --output all.json --report all.html
    """
    require("load")
    from monitor.load.merge import merge as merge_results  # noqa: PLC0415
    from monitor.load.result_file import read  # noqa: PLC0415

    check_files(output, report)
    plan, finished, objectives = merge_results([(str(path), read(path)) for path in results])
    merged = LoadOutput(plan, objectives, output, report, workers=len(finished.included_workers))
    merged.write(finished)
    merged.show()
