"""The scenarios: what each of them plays, measures and costs, written once.

A new scenario is a member of `Scenario`, its `ScenarioSpec` in `SPECS`, and a file in `monitor/probes/`. One that has
`load_flags` also needs its part of a load test, in `monitor/load/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from monitor.vocabulary import Reason, Sli, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANSWER_DELAY: Final = 1.0
"""Seconds that the wallet of a realistic session waits before it answers, as in the relay team's load test."""


class Scenario(StrEnum):
    """The names of the scenarios, those of the relay team's load test."""

    STEADY_MESSAGING = "steady-messaging"
    ASYNC_DELIVERY = "async-delivery"
    REALISTIC_SESSION = "realistic-session"
    CONNECTION_STORM = "connection-storm"
    STEADY_STATE = "steady-state"


class ProbeNumbers(Protocol):
    """The numbers of a probe that the formulas use; `ProbeConfig` has them. Times are seconds."""

    # ruff: noqa: D102 - the configuration reference explains each of them
    @property
    def pairs(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def timeout(self) -> float: ...
    @property
    def settle(self) -> float: ...
    @property
    def wallet_delay(self) -> float: ...
    @property
    def delay(self) -> float: ...
    @property
    def ramp_up(self) -> float: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def cycle(self) -> float: ...
    @property
    def hold(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVolume:
    """What one bounded run makes where nothing fails. `messages` are the publishes after the pairing."""

    pairs: int
    exchanges: int
    connects: int
    messages: int

    @property
    def cost(self) -> tuple[int, int]:
        """Connects and publishes of a run whose pairs are all new: each pairing publishes one offer."""
        return self.connects, self.messages + self.pairs


def _cycle(probe: ProbeNumbers) -> float:
    return probe.cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSpec:
    """One scenario.

    probe: the class that plays it, as `pkgutil.resolve_name` reads it.
    failures: the reasons for which each step can fail; the first step is the first that a run comes to.
    paired: pairs of a dApp and a wallet play it; otherwise bare connections do.
    exchanging: its pairs send requests and answers, so it has round trips.
    offline: its messages are sent while the wallet is away, so it has recoveries.
    continuous: it can be `schedule: continuous`.
    keys: the configuration keys that it uses and not every scenario does; of these, `bounded_keys` and
    `continuous_keys` belong to one kind of schedule.
    load_flags: the flags of the load test that it uses and not every scenario does; None where it is no load test.
    default_messages: the default of the key `messages`.
    volume: what one bounded run makes.
    longest_run: seconds after which a bounded run has ended: its time-outs and its waits, added up.
    interval: seconds from one exchange of a continuous pair or connection to its next.
    """

    probe: str
    failures: Mapping[Step, tuple[Reason, ...]]
    paired: bool
    exchanging: bool = False
    offline: bool = False
    continuous: bool = False
    keys: frozenset[str]
    bounded_keys: frozenset[str] = frozenset()
    continuous_keys: frozenset[str] = frozenset()
    load_flags: frozenset[str] | None
    default_messages: int = 1
    volume: Callable[[ProbeNumbers], RunVolume]
    longest_run: Callable[[ProbeNumbers], float]
    interval: Callable[[ProbeNumbers], float] = _cycle

    @property
    def slis(self) -> frozenset[Sli]:
        """What an SLO can measure of it; `stability` of a continuous probe only."""
        measured = {
            Sli.AVAILABILITY: True,
            Sli.LATENCY: self.exchanging,
            Sli.PAIRING: self.paired,
            Sli.STABILITY: self.continuous,
            Sli.TREND: self.exchanging,
        }
        return frozenset(sli for sli, is_measured in measured.items() if is_measured)

    @property
    def failure_labels(self) -> tuple[tuple[Step, Reason], ...]:
        """Every (step, reason) that a run can fail with.

        Each step can also fail for `internal`: a fault in this program is never counted as the relay's.
        """
        return tuple((step, reason) for step, reasons in self.failures.items() for reason in (*reasons, _R.INTERNAL))

    def declares(self, step: Step, reason: Reason) -> bool:
        """Whether a run can fail at this step for this reason."""
        return reason in (*self.failures.get(step, ()), Reason.INTERNAL) and step in self.failures

    def nearest_failure(self, step: Step, reason: Reason) -> tuple[Step, Reason]:
        """The (step, reason) with which a run fails while attempts over new pairs fail at `step` for `reason`."""
        if self.declares(step, reason):
            return step, reason
        if self.declares(Step.RECOVER, reason):
            return Step.RECOVER, reason
        return (Step.HOLD, Reason.DISCONNECTED) if Step.HOLD in self.failures else (Step.HANDSHAKE, Reason.SILENT)

    def failure_label(self, step: Step, reason: Reason) -> tuple[Step, Reason]:
        """The (step, reason) under which a failure is counted: itself, or `internal` where the table lacks it.

        A pair outside the table is a fault in this program; it must neither add a series nor go uncounted.
        """
        if step not in self.failures:
            return next(iter(self.failures)), Reason.INTERNAL
        return (step, reason) if reason in self.failures[step] else (step, Reason.INTERNAL)


_R = Reason
_CONNECT: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.RESOLVE: (_R.DNS, _R.TIMEOUT),
    Step.PROXY: (_R.REFUSED, _R.UNREACHABLE, _R.TIMEOUT, _R.RESET, _R.HTTP_STATUS, _R.SILENT, _R.PROTOCOL),
    Step.TCP: (_R.REFUSED, _R.UNREACHABLE, _R.TIMEOUT, _R.RESET),
    Step.TLS: (
        _R.TLS_UNTRUSTED, _R.TLS_EXPIRED, _R.TLS_NAME, _R.TLS_CLIENT_CERTIFICATE, _R.RESET, _R.SILENT, _R.PROTOCOL,
        _R.TIMEOUT,
    ),
    Step.UPGRADE: (_R.HTTP_STATUS, _R.BAD_UPGRADE, _R.RATE_LIMITED, _R.RESET, _R.SILENT, _R.TOO_LARGE, _R.TIMEOUT),
    Step.HELLO: (
        _R.SILENT, _R.TIMEOUT, _R.UNAUTHORIZED, _R.EXPIRED, _R.DISCONNECTED, _R.RELAY_ERROR, _R.LIMIT, _R.RATE_LIMITED,
        _R.PROTOCOL, _R.TOO_LARGE,
    ),
}  # fmt: skip
_COMMAND: Final = (
    _R.SILENT, _R.TIMEOUT, _R.DENIED, _R.LIMIT, _R.RATE_LIMITED, _R.RELAY_ERROR, _R.DISCONNECTED, _R.PROTOCOL,
    _R.TOO_LARGE,
)  # fmt: skip
_PAIRING: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.SUBSCRIBE: (*_COMMAND, _R.UNRECOVERED),
    Step.HISTORY: (*_COMMAND, _R.UNRECOVERED),
    Step.PUBLISH: (*_COMMAND, _R.UNRECOVERED),
    Step.HANDSHAKE: (
        _R.SILENT, _R.TIMEOUT, _R.LOST, _R.DISCONNECTED, _R.CORRUPTED, _R.UNDECRYPTABLE, _R.WRONG_PEER, _R.EXPIRED,
        _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
    ),
}  # fmt: skip
_MESSAGE: Final = (
    _R.LOST, _R.UNRECOVERED, _R.TIMEOUT, _R.SILENT, _R.REORDERED, _R.CORRUPTED, _R.MISROUTED, _R.UNDECRYPTABLE,
    _R.WRONG_PEER, _R.DISCONNECTED, _R.EXPIRED, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
)  # fmt: skip
_RESUME: Final = (
    _R.EXPIRED, _R.DISCONNECTED, _R.SILENT, _R.TIMEOUT, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
)  # fmt: skip
_EXCHANGE: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.DELIVER: _MESSAGE, Step.ANSWER: _MESSAGE, Step.RESUME: _RESUME,
}  # fmt: skip
_RECOVERY: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.RESUME: _RESUME,
    Step.RECOVER: (*_MESSAGE, _R.DUPLICATED, _R.EPOCH_CHANGED),
}  # fmt: skip
_HOLD: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.HOLD: (_R.DISCONNECTED, _R.SILENT, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT),
}


def _steady_exchanges(probe: ProbeNumbers) -> int:
    """The exchanges of one pair in one bounded run."""
    return max(1, int(probe.duration // probe.cycle)) if probe.duration else 1


def _steady_volume(probe: ProbeNumbers) -> RunVolume:
    exchanges = probe.pairs * _steady_exchanges(probe)
    return RunVolume(pairs=probe.pairs, exchanges=exchanges, connects=2 * probe.pairs, messages=2 * exchanges)


def _bare_volume(probe: ProbeNumbers) -> RunVolume:
    return RunVolume(pairs=0, exchanges=probe.connections, connects=probe.connections, messages=0)


def _longest_pairing(probe: ProbeNumbers) -> float:
    return probe.wallet_delay + probe.timeout


def _longest_bare_run(probe: ProbeNumbers) -> float:
    return probe.ramp_up + probe.timeout + (probe.duration or 0.0)


SPECS: Final[Mapping[Scenario, ScenarioSpec]] = {
    Scenario.STEADY_MESSAGING: ScenarioSpec(
        probe="monitor.probes.steady_messaging:SteadyMessaging",
        failures=_CONNECT | _PAIRING | _EXCHANGE | _HOLD,
        paired=True,
        exchanging=True,
        continuous=True,
        keys=frozenset({"pairs", "message_interval", "wallet_delay", "settle", "max_age", "duration", "crypto"}),
        bounded_keys=frozenset({"duration"}),
        continuous_keys=frozenset({"max_age"}),
        load_flags=frozenset({"connection_pairs", "crypto", "duration", "message_interval"}),
        volume=_steady_volume,
        # Pairs start one after another within a cycle.
        longest_run=lambda probe: (
            _longest_pairing(probe) + probe.cycle + _steady_exchanges(probe) * (probe.cycle + probe.timeout)
        ),
    ),
    Scenario.ASYNC_DELIVERY: ScenarioSpec(
        probe="monitor.probes.async_delivery:AsyncDelivery",
        failures=_CONNECT | _PAIRING | _RECOVERY,
        paired=True,
        offline=True,
        keys=frozenset({"wallet_delay", "delay", "messages", "pairing", "crypto"}),
        load_flags=frozenset({"connection_pairs", "crypto", "delay"}),
        # The connects of the dApp, of the wallet that leaves, and of the new wallet that comes back.
        volume=lambda probe: RunVolume(pairs=1, exchanges=1, connects=3, messages=probe.messages),
        # Pairing, or resuming both; publishing; recovering.
        longest_run=lambda probe: _longest_pairing(probe) + probe.delay + 2 * probe.timeout,
    ),
    Scenario.REALISTIC_SESSION: ScenarioSpec(
        probe="monitor.probes.realistic_session:RealisticSession",
        failures=_CONNECT | _PAIRING | _EXCHANGE,
        paired=True,
        exchanging=True,
        keys=frozenset({"wallet_delay", "settle", "messages", "crypto"}),
        load_flags=frozenset({"connection_pairs", "crypto", "messages_per_session"}),
        default_messages=3,
        volume=lambda probe: RunVolume(pairs=1, exchanges=probe.messages, connects=2, messages=2 * probe.messages),
        longest_run=lambda probe: (
            _longest_pairing(probe) + probe.messages * (probe.settle + ANSWER_DELAY + probe.timeout)
        ),
    ),
    Scenario.CONNECTION_STORM: ScenarioSpec(
        probe="monitor.probes.steady_state:SteadyState",
        failures=_CONNECT | _HOLD,
        paired=False,
        keys=frozenset({"connections", "ramp_up", "duration"}),
        load_flags=frozenset({"connections"}),
        volume=_bare_volume,
        longest_run=_longest_bare_run,
    ),
    Scenario.STEADY_STATE: ScenarioSpec(
        probe="monitor.probes.steady_state:SteadyState",
        failures=_CONNECT | _HOLD,
        paired=False,
        continuous=True,
        keys=frozenset({"connections", "ramp_up", "duration"}),
        load_flags=frozenset({"connections", "duration"}),
        volume=_bare_volume,
        longest_run=_longest_bare_run,
        interval=lambda probe: probe.hold,
    ),
}
"""Every scenario, in the order in which references list them."""

PAIRED: Final = frozenset(scenario for scenario, spec in SPECS.items() if spec.paired)
EXCHANGING: Final = frozenset(scenario for scenario, spec in SPECS.items() if spec.exchanging)
OFFLINE: Final = frozenset(scenario for scenario, spec in SPECS.items() if spec.offline)
CONTINUOUS: Final = frozenset(scenario for scenario, spec in SPECS.items() if spec.continuous)
LOAD_SCENARIOS: Final = frozenset(scenario for scenario, spec in SPECS.items() if spec.load_flags is not None)

KEYS: Final = frozenset[str]().union(*(spec.keys for spec in SPECS.values()))
"""The configuration keys that not every scenario uses."""

LOAD_FLAGS: Final = frozenset[str]().union(*(spec.load_flags or () for spec in SPECS.values()))
"""The flags of the load test that not every scenario uses."""


def users_of(key: str) -> list[Scenario]:
    """The scenarios that use a configuration key, sorted by name."""
    return sorted(scenario for scenario, spec in SPECS.items() if key in spec.keys)
