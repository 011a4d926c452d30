"""What a load test is asked to do: one frozen value, the same for every process and machine that has a part in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.config import RelayConfig
from monitor.config.probe import Continuous, Every, ProbeConfig
from monitor.scenarios import SPECS, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

SCAN: Final = 5.0
"""Seconds a user takes to scan the QR code."""

SETTLE: Final = 0.5
"""Seconds before each exchange, in no latency."""

RECOVERY: Final = 60.0
"""Seconds a recovery may take at least."""

RECOVERY_A_PAIR: Final = 0.020
"""Seconds a recovery may take for each pair of the test, where that is more."""

CONNECT_TRIES: Final = 3
"""Time-outs within which a bare connection must have come about, retries included."""

RELAY: Final = "target"
"""What the relay under load is called in labels."""

UNLIMITED: Final = 1 << 40
"""Permits a minute where nothing is limited: a load test asks for what it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One load test. Times are seconds. The defaults are those of the relay team's own tool.

    `worker` is (index, count): this process plays every count-th pair or connection from index on, each at the very
    moment at which a single process would start it.
    """

    target: str
    scenario: Scenario
    connections: int = 100
    connection_pairs: int = 100
    duration: float = 60.0
    ramp_up: float = 10.0
    messages_per_session: int = 3
    delay: float = 30.0
    message_interval: float = 5.0
    crypto: str = "real"
    timeout: float = 10.0
    seed: int | None = None
    worker: tuple[int, int] = (0, 1)

    @property
    def is_paired(self) -> bool:
        """Whether it is played by pairs."""
        return SPECS[self.scenario].paired

    @property
    def is_steady(self) -> bool:
        """Whether its pairs or connections should stand for a while."""
        return SPECS[self.scenario].continuous

    @property
    def total(self) -> int:
        """Pairs or connections of the whole test, over all workers."""
        return self.connection_pairs if self.is_paired else self.connections

    @property
    def numbers(self) -> range:
        """The pairs or connections that are this worker's, each by its number in the whole test."""
        index, count = self.worker
        return range(index, self.total, count)

    def start_of(self, number: int) -> float:
        """Seconds after the beginning at which a pair or connection starts: spread evenly over the ramp-up."""
        return self.ramp_up * number / self.total

    @property
    def scan(self) -> float:
        """Seconds between the dApp's request and the wallet's start."""
        return 0.0 if SPECS[self.scenario].offline else SCAN

    @property
    def recovery_timeout(self) -> float:
        """Seconds within which what was sent to an absent wallet must have come, from its return on."""
        return max(RECOVERY, RECOVERY_A_PAIR * self.total)

    @property
    def settle_timeout(self) -> float:
        """Seconds after the last run within which each message comes to its horizon."""
        return 2 * self.timeout + (self.recovery_timeout if SPECS[self.scenario].offline else 0.0)

    @property
    def connect_timeout(self) -> float:
        """Seconds within which a bare connection must have come about, retries included."""
        return CONNECT_TRIES * self.timeout

    @property
    def sockets(self) -> int:
        """Connections of this worker at the same time; an embedded relay holds the other end of each."""
        ends = len(self.numbers) * (2 if self.is_paired else 1)
        return ends * 2 if self.target == "embedded" else ends

    @property
    def seconds(self) -> float:
        """How long it takes where all goes well, roughly."""
        match self.scenario:
            case Scenario.REALISTIC_SESSION:
                return self.ramp_up + SCAN + self.messages_per_session * (SETTLE + 1.0)
            case Scenario.ASYNC_DELIVERY:
                return self.ramp_up + self.delay
            case Scenario.STEADY_MESSAGING:
                return self.ramp_up + self.duration + self.message_interval
            case Scenario.STEADY_STATE:
                return self.ramp_up + self.duration
        return self.ramp_up

    def probe(self) -> ProbeConfig:
        """The probe that plays it: the daemon's own, past the sizes that a standing configuration may have."""
        usual = ProbeConfig(
            name=self.scenario.value,
            scenario=self.scenario,
            relays=(RELAY,),
            schedule=Continuous() if self.is_steady else Every(every=60.0),
        )
        return usual.model_copy(
            update={
                "timeout": self.timeout,
                "pairs": self.connection_pairs,
                "connections": self.connections,
                "message_interval": self.message_interval,
                "wallet_delay": self.scan,
                "settle": SETTLE,
                "delay": self.delay,
                "messages": self.messages_per_session if self.scenario is Scenario.REALISTIC_SESSION else 1,
                "pairing": "fresh",
                "ramp_up": self.ramp_up,
                "duration": self.duration,
                "crypto": self.crypto,
            }
        )

    def relay(self) -> RelayConfig:
        """The relay under load, without any limits."""
        usual = RelayConfig(name=RELAY, url=self.target)
        limits = usual.limits.model_copy(
            update={"connects_per_minute": UNLIMITED, "messages_per_minute": UNLIMITED},
        )
        return usual.model_copy(update={"limits": limits})

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` reads back, for another process."""
        return asdict(self) | {"scenario": self.scenario.value}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Plan:
        """What `to_json` gave."""
        index, count = fields["worker"]
        return cls(**{**fields, "scenario": Scenario(fields["scenario"]), "worker": (index, count)})
