"""The settings of a load test: one frozen value, which all its processes and machines share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ConfigDict, with_config

from monitor.config import RelayConfig
from monitor.config.probe import Continuous, Every, ProbeConfig
from monitor.scenarios import SPECS, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

SCAN_DELAY: Final = 5.0
"""Seconds that a user takes to scan the QR code."""

EXCHANGE_PAUSE: Final = 0.5
"""Seconds of pause before each exchange; no latency includes them."""

MIN_RECOVERY_TIMEOUT: Final = 60.0
"""Seconds that a recovery may take in a small test."""

RECOVERY_TIMEOUT_PER_PAIR: Final = 0.020
"""Seconds that a recovery may take for each pair of the test, if that is more."""

CONNECT_TIMEOUTS: Final = 3
"""Timeouts within which a bare connection must connect, retries included."""

RELAY: Final = "target"
"""The name of the relay under load in labels."""

UNLIMITED: Final = 1 << 40
"""Permits a minute; a load test has no limits of its own."""


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True))  # in a result
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of a load test. Times are seconds. The defaults are those of the relay team's own tool.

    `worker` is (index, count): this process runs every count-th pair or connection from index on, and starts each one
    at the same time as a single process would. `test_id` is the same for all workers of one test, and for no other
    test; results of older versions have none.
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
    test_id: str = ""

    @property
    def is_paired(self) -> bool:
        """Whether the scenario has pairs, not bare connections."""
        return SPECS[self.scenario].paired

    @property
    def is_steady(self) -> bool:
        """Whether its pairs or connections stay connected for a while."""
        return SPECS[self.scenario].continuous

    @property
    def total(self) -> int:
        """Pairs or connections of the whole test, over all workers."""
        return self.connection_pairs if self.is_paired else self.connections

    @property
    def numbers(self) -> range:
        """This worker's pairs or connections, by their numbers in the whole test."""
        index, count = self.worker
        return range(index, self.total, count)

    def start_of(self, number: int) -> float:
        """Return the start of a pair or connection in seconds after the beginning, spread evenly over the ramp-up."""
        return self.ramp_up * number / self.total

    def due(self, elapsed: float) -> int:
        """Return how many of this worker's pairs or connections should have started after so many seconds."""
        index, count = self.worker
        reached = math.inf if elapsed >= self.ramp_up else elapsed * self.total / self.ramp_up
        return len(range(index, int(min(self.total - 1, reached)) + 1, count))

    @property
    def scan_delay(self) -> float:
        """Seconds between the dApp's request and the wallet's start."""
        return 0.0 if SPECS[self.scenario].offline else SCAN_DELAY

    @property
    def recovery_timeout(self) -> float:
        """Seconds from the wallet's return within which it must receive what was sent to it."""
        return max(MIN_RECOVERY_TIMEOUT, RECOVERY_TIMEOUT_PER_PAIR * self.total)

    @property
    def verdict_timeout(self) -> float:
        """Seconds after the last run within which each message gets its verdict."""
        return 2 * self.timeout + (self.recovery_timeout if SPECS[self.scenario].offline else 0.0)

    @property
    def connect_timeout(self) -> float:
        """Seconds within which a bare connection must connect, retries included."""
        return CONNECT_TIMEOUTS * self.timeout

    @property
    def sockets(self) -> int:
        """Sockets of this worker at the same time; an embedded relay has the other end of each in the same process."""
        clients = len(self.numbers) * (2 if self.is_paired else 1)
        return clients * 2 if self.target == "embedded" else clients

    @property
    def seconds(self) -> float:
        """Rough duration of the test without errors."""
        match self.scenario:
            case Scenario.REALISTIC_SESSION:
                return self.ramp_up + SCAN_DELAY + self.messages_per_session * (EXCHANGE_PAUSE + 1.0)
            case Scenario.ASYNC_DELIVERY:
                return self.ramp_up + self.delay
            case Scenario.STEADY_MESSAGING:
                return self.ramp_up + self.duration + self.message_interval
            case Scenario.STEADY_STATE:
                return self.ramp_up + self.duration
        return self.ramp_up

    def probe(self) -> ProbeConfig:
        """Return the probe that runs the test: the daemon's, without the limits that a configuration has."""
        probe = ProbeConfig(
            name=self.scenario.value,
            scenario=self.scenario,
            relays=(RELAY,),
            schedule=Continuous() if self.is_steady else Every(every=60.0),
        )
        return probe.model_copy(
            update={
                "timeout": self.timeout,
                "pairs": self.connection_pairs,
                "connections": self.connections,
                "message_interval": self.message_interval,
                "wallet_delay": self.scan_delay,
                "settle": EXCHANGE_PAUSE,
                "delay": self.delay,
                "messages": self.messages_per_session if self.scenario is Scenario.REALISTIC_SESSION else 1,
                "pairing": "fresh",
                "ramp_up": self.ramp_up,
                "duration": self.duration,
                "crypto": self.crypto,
            }
        )

    def relay(self) -> RelayConfig:
        """Return the relay under load, without rate limits."""
        relay = RelayConfig(name=RELAY, url=self.target)
        limits = relay.limits.model_copy(
            update={"connects_per_minute": UNLIMITED, "messages_per_minute": UNLIMITED},
        )
        return relay.model_copy(update={"limits": limits})

    def to_json(self) -> dict[str, Any]:
        """Return JSON that `from_json` reads in another process."""
        return asdict(self) | {"scenario": self.scenario.value}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Plan:
        """Read what `to_json` returned."""
        index, count = fields["worker"]
        return cls(**{**fields, "scenario": Scenario(fields["scenario"]), "worker": (index, count)})
