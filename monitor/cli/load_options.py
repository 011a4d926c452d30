"""The options of `load`, as types of its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from monitor.cli.flags import (
    Crypto,
    gateway_of,
    listen_of,
    positive_seconds_of,
    seconds_of,
    share_of,
    target_of,
    test_id_of,
    worker_of,
)
from monitor.scenarios import LOAD_SCENARIOS, Scenario

RESULTS: Final = "Results"
OBJECTIVES: Final = "Objectives"
PROCESSES: Final = "Several processes and machines"


def _option(parser: Any, metavar: str, help: str, **settings: Any) -> Any:  # noqa: A002 - typer's name
    return Annotated[Any, typer.Option(parser=parser, metavar=metavar, help=help, **settings)]


def _limit(parser: Any, metavar: str, help: str) -> Any:  # noqa: A002 - typer's name
    return _option(parser, metavar, help, show_default=False, rich_help_panel=OBJECTIVES)


Target = _option(target_of, "URL", "Relay URL; `embedded` starts a relay in this process.")
LoadScenario = Annotated[
    Scenario,
    typer.Option(metavar="SCENARIO", help=f"One of {', '.join(item for item in Scenario if item in LOAD_SCENARIOS)}."),
]
RampUp = _option(seconds_of, "TIME", "Time over which all starts are spread evenly.")
Connections = Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="Number of bare connections.")]
ConnectionPairs = Annotated[
    int, typer.Option(metavar="N", min=1, max=500_000, help="Number of pairs of a dApp and a wallet.")
]
Duration = _option(seconds_of, "TIME", "Duration after the ramp-up.")
MessagesPerSession = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Exchanges per pair.")]
Delay = _option(seconds_of, "TIME", "Time for which the wallet is offline.")
MessageInterval = _option(
    positive_seconds_of, "TIME", "Wait of the wallet before each answer, and of the dApp after it."
)
CryptoKind = Annotated[
    Crypto,
    typer.Option(
        metavar="KIND", help="Encryption: real, or mock, the Node tool's key manager, cheaper and without any check."
    ),
]
Timeout = _option(positive_seconds_of, "TIME", "Timeout of each connect attempt, the handshake, and each exchange.")
OutputFile = Annotated[Path, typer.Option(metavar="FILE.json", help="Write the result here.", rich_help_panel=RESULTS)]
ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Write an HTML report.", rich_help_panel=RESULTS)
]
MetricsAddress = _option(
    listen_of, "HOST:PORT", "Serve /metrics on this address during the test.", rich_help_panel=RESULTS
)
PushGateway = _option(gateway_of, "URL", "Push the metrics to this gateway after the test.", rich_help_panel=RESULTS)
Workers = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=256,
        help="Number of processes on this machine, one event loop each.",
        rich_help_panel=PROCESSES,
    ),
]
Worker = _option(worker_of, "I/N", "Run part I of N; other machines run the other parts.", rich_help_panel=PROCESSES)
TestId = _option(
    test_id_of,
    "ID",
    "Name of this test, the same for each of its --worker parts (default: a random one).",
    rich_help_panel=PROCESSES,
)
Seed = Annotated[int | None, typer.Option(metavar="NUMBER", help="Seed of random choices, such as back-offs.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE.yaml",
        help="Check the result against the SLOs of this configuration.",
        rich_help_panel=OBJECTIVES,
    ),
]
RoundTripLimit = _limit(positive_seconds_of, "TIME", "Maximum round-trip P99 (400ms).")
SuccessLimit = _limit(share_of, "PERCENT", "Minimum share of connects that succeed (99).")
DeliveryLimit = _limit(share_of, "PERCENT", "Minimum share of exchanges that succeed (99.9).")
RecoveryLimit = _limit(share_of, "PERCENT", "Minimum share of offline messages recovered (100).")
StabilityLimit = _limit(share_of, "PERCENT", "Minimum share of due time connected (99.9).")
TrendLimit = Annotated[
    float | None,
    typer.Option(
        metavar="FACTOR",
        min=1.0,
        help="Maximum ratio of the last 10 s window's P99 to the first's (default: reported, not enforced).",
        rich_help_panel=OBJECTIVES,
    ),
]
