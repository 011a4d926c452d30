"""What a row of the fault table says, and what its scene gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.vocabulary import Outcome, Reason, Step, Verdict
    from tests.faults.certificates import Certificates
    from tests.faults.toxiproxy import Toxiproxy
    from tests.probes.harness import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """What scenes work with: the engine's program, a running toxiproxy, certificates."""

    engine: Path
    toxiproxy: Toxiproxy
    certificates: Certificates


async def nothing(_: Stage) -> None:
    """Leave the relay as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the relay of a scene is, what the configuration says of it besides, and what befalls it amid the run."""

    url: str
    relay: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Stage], Awaitable[None]] = nothing


LoadContext = Callable[[Env], AbstractAsyncContextManager[Where]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault: what makes it, what is played, and what must come of it, within so many seconds.

    `on` names the real thing that has the fault. `verdicts` are those of the run's messages, in any order.
    """

    fault: str
    on: str
    scene: LoadContext
    scenario: str
    keys: Mapping[str, str]
    outcome: Outcome
    step: Step | None = None
    reason: Reason | None = None
    verdicts: tuple[Verdict, ...] = ()
    within: float = 1.5
