"""The type of a row of the fault table, and what its setup works with and yields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitor.vocabulary import Step

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.vocabulary import Outcome, Reason, Verdict
    from tests.faults.certificates import Certificates
    from tests.faults.toxiproxy import Toxiproxy
    from tests.probes.harness import ProbeHarness


FOREIGN: Final = frozenset({"engine", "toxiproxy"})
"""Counterparts that are foreign programs."""

THREADED: Final = frozenset({"TLS", "DNS"})
"""Counterparts whose faults involve a thread, in the tests or in the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """What setups work with: certificates, and the programs that the row's fault needs."""

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


async def no_action(_: ProbeHarness) -> None:
    """Leave the relay unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyRelay:
    """The relay of a setup: its URL, further keys of its configuration, and what happens to it during the run."""

    url: str
    relay: Mapping[str, Any] = field(default_factory=dict)
    during_run: Callable[[ProbeHarness], Awaitable[None]] = no_action


Setup = Callable[[Env], AbstractAsyncContextManager[FaultyRelay]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault: its setup, the scenario that meets it, and the expected result within `within` seconds.

    `caused_by` names the counterpart that has the fault and, after a comma, the means. `verdicts` are those of the
    run's messages, in any order. `real_time`: the outcome depends on the time that the program takes to compute.
    """

    fault: str
    caused_by: str
    setup: Setup
    scenario: str
    keys: Mapping[str, str]
    outcome: Outcome
    step: Step | None = None
    reason: Reason | None = None
    verdicts: tuple[Verdict, ...] = ()
    within: float = 1.5
    real_time: bool = False

    @property
    def counterpart(self) -> str:
        """The counterpart that has the fault."""
        return self.caused_by.partition(",")[0]

    @property
    def is_virtual(self) -> bool:
        """Whether the scenario can run in virtual time. Threads cannot, as the one that reads the TLS files."""
        return not self.real_time and self.step is not Step.TLS and self.counterpart not in FOREIGN | THREADED
