"""What a row of the fault table says, and what its scene gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.vocabulary import Outcome, Reason, Step, Verdict
    from tests.faults.certificates import Certificates
    from tests.faults.toxiproxy import Toxiproxy
    from tests.probes.harness import ProbeHarness


FOREIGN: Final = frozenset({"engine", "toxiproxy"})
"""Programs that some faults need."""

THREADED: Final = frozenset({"TLS", "DNS"})
"""What has faults for which a thread works, in the tests or in the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """What scenes work with: certificates, and the programs that the row's fault needs."""

    certificates: Certificates
    engine_program: Path | None
    running_toxiproxy: Toxiproxy | None

    @property
    def engine(self) -> Path:
        """The engine's program."""
        assert self.engine_program is not None
        return self.engine_program

    @property
    def toxiproxy(self) -> Toxiproxy:
        """A running toxiproxy."""
        assert self.running_toxiproxy is not None
        return self.running_toxiproxy


async def nothing(_: ProbeHarness) -> None:
    """Leave the relay as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the relay of a scene is, what the configuration says of it besides, and what befalls it amid the run."""

    url: str
    relay: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[ProbeHarness], Awaitable[None]] = nothing


LoadContext = Callable[[Env], AbstractAsyncContextManager[Where]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault: what makes it, what is played, and what must come of it, within so many seconds.

    `on` names the real thing that has the fault, and after a comma by what. `verdicts` are those of the run's
    messages, in any order. `real_time`: the outcome depends on a time that the program takes to compute.
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
    real_time: bool = False

    @property
    def has_fault(self) -> str:
        """The real thing that has the fault."""
        return self.on.partition(",")[0]

    @property
    def is_virtual(self) -> bool:
        """Whether it can be played in virtual time."""
        return not self.real_time and self.has_fault not in FOREIGN | THREADED
