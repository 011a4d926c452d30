"""A probe: a scenario, its schedule and its numbers.

All scenarios share one model; `monitor.scenarios` lists which of them uses which keys.
"""

from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from monitor.config.crontab import Crontab
from monitor.config.fields import Duration, Kind, Name, OneOrMore, Section, Text, one_or_more
from monitor.scenarios import CONTINUOUS, SPECS, RunVolume, Scenario

DEFAULT_HOLD: Final = 30.0
"""Seconds of one hold interval of a continuous steady-state: more than the usual 25 s between a relay's pings."""

SESSION_REUSE: Final = 3600.0
"""Seconds for which async-delivery reuses a session before it pairs anew."""


@lru_cache(maxsize=256)
def _shortest_span(cron: str, timezone: str, number: int) -> float:
    return Crontab(cron, timezone).shortest_span(number)


@lru_cache(maxsize=256)
def _longest_gap(cron: str, timezone: str) -> float:
    return Crontab(cron, timezone).longest_gap()


@lru_cache(maxsize=256)
def _average_gap(cron: str, timezone: str) -> float:
    return Crontab(cron, timezone).average_gap()


def check_cron(text: str) -> str:
    """Validate a crontab line. Raises `ValueError`."""
    try:
        Crontab(text)
    except ValueError as error:
        raise ValueError(f"is not a crontab line: {str(error).removeprefix('cron ')}") from None
    return text


def check_timezone(text: str) -> str:
    """Validate the name of a time zone. Raises `ValueError`."""
    try:
        ZoneInfo(text)
    except (LookupError, ValueError, OSError):
        raise ValueError("is not a known time zone; expected an IANA name such as Europe/Berlin") from None
    return text


CronLine = Annotated[Text, AfterValidator(check_cron), Kind("crontab line")]
TimeZone = Annotated[Text, AfterValidator(check_timezone), Kind("IANA time zone")]


def _as_constant(schema: dict[str, Any]) -> None:
    schema.clear()
    schema["const"] = "continuous"


class Continuous(Section):
    """Pairs or connections that are kept all the time. Written as the word `continuous`."""

    model_config = ConfigDict(json_schema_extra=_as_constant)


class Every(Section):
    """A run every period. The first one starts within five seconds."""

    every: Annotated[float, Duration("100ms", "7d")] = Field(description="time from one start to the next")


class Cron(Section):
    """A run at each time of a crontab line."""

    cron: CronLine = Field(description="when runs start")
    timezone: TimeZone = Field("UTC", description="time zone of the crontab line")


Schedule: TypeAlias = Continuous | Every | Cron


def _schedule(value: Any) -> Any:
    if value == "continuous":
        return Continuous()
    if isinstance(value, dict) and {"every", "cron"} <= value.keys():
        raise ValueError("has both every and cron; expected one of the two")
    if isinstance(value, (Continuous, Every, Cron)) or (isinstance(value, dict) and value.keys() & {"every", "cron"}):
        return value
    raise ValueError('is not a schedule; expected continuous, {every: 5m} or {cron: "*/5 * * * *", timezone: UTC}')


def _schedule_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "<cron>" if "cron" in value else "<every>"
    return f"<{type(value).__name__.lower()}>"


ScheduleField = Annotated[
    Annotated[Continuous, Tag("<continuous>")] | Annotated[Every, Tag("<every>")] | Annotated[Cron, Tag("<cron>")],
    Discriminator(_schedule_tag),
    BeforeValidator(_schedule),
    Kind("`continuous`, `{every: DURATION}` or `{cron: LINE, timezone: ZONE}`"),
]


def _default_schedule(data: dict[str, Any]) -> Schedule:
    # `checks` requires a file to set the schedule of a bounded scenario.
    return Continuous() if data.get("scenario") in CONTINUOUS else Every(every=300.0)


def _default_duration(data: dict[str, Any]) -> float | None:
    bounded = not isinstance(data.get("schedule"), Continuous)
    return 60.0 if bounded and data.get("scenario") in CONTINUOUS else None


def _default_messages(data: dict[str, Any]) -> int:
    spec = SPECS.get(data.get("scenario", ""))
    return spec.default_messages if spec is not None else 1


class ProbeConfig(Section):
    """One probe: a scenario on a schedule, over some relays."""

    name: Name = Field(description="name in labels, alerts and pages")
    scenario: Scenario = Field(description="what a run does")
    relays: Annotated[tuple[Name, ...], Field(max_length=1000), BeforeValidator(one_or_more), OneOrMore()] = Field(
        (), description="the relays it watches; all of them by default"
    )
    schedule: ScheduleField = Field(
        default_factory=_default_schedule,
        description="when it runs; `steady-messaging` and `steady-state` are `continuous` by default, others have no "
        "default. A run must end before the next one starts",
    )
    timeout: Annotated[float, Duration("100ms", "1m")] = Field(
        5.0, description="time limit of the pairing, of each exchange and of each recovery, without their waits"
    )
    pairs: int = Field(2, ge=1, le=1000, description="pairs at the same time")
    message_interval: Annotated[float, Duration("100ms", "1h")] = Field(
        5.0, description="the wallet's wait before it answers, and the dApp's wait before its next request"
    )
    wallet_delay: Annotated[float, Duration("0s", "55s")] = Field(
        0.0, description="pause before the wallet scans the QR code; a session request expires after 60 s"
    )
    settle: Annotated[float, Duration("0s", "1m")] = Field(0.5, description="pause before each exchange")
    max_age: Annotated[float, Duration("10s", "7d")] = Field(
        900.0, description="age at which a pair is replaced; the new one is made first (`continuous` only)"
    )
    delay: Annotated[float, Duration("0s", "1d")] = Field(30.0, description="how long the wallet is offline")
    messages: int = Field(
        default_factory=_default_messages,
        ge=1,
        le=50,
        description="async-delivery: messages sent to the offline wallet (default 1); "
        "realistic-session: exchanges (default 3)",
    )
    pairing: Literal["reuse", "fresh"] = Field(
        "reuse", description="`fresh`: a new pairing for each run; `reuse`: one every hour"
    )
    connections: int = Field(2, ge=1, le=10_000, description="bare connections at the same time")
    ramp_up: Annotated[float, Duration("0s", "1h")] = Field(10.0, description="time over which their starts are spread")
    duration: Annotated[float, Duration("1s", "1d")] | None = Field(
        default_factory=_default_duration,
        description="how long a bounded run lasts after its ramp-up (default 1m; connection-storm: none); "
        "of a continuous steady-state, one hold interval",
    )
    crypto: Literal["real", "mock"] = Field(
        "real", description="`mock` uses the load test's key manager, which is cheaper but verifies nothing"
    )

    @property
    def is_continuous(self) -> bool:
        """Whether its schedule is `continuous`."""
        return isinstance(self.schedule, Continuous)

    @property
    def is_scheduled(self) -> bool:
        """Whether the file sets when its runs start."""
        return "schedule" in self.model_fields_set and not self.is_continuous

    @property
    def period(self) -> float | None:
        """The shortest time between two runs, in seconds; None if it is continuous."""
        match self.schedule:
            case Every(every=period):
                return period
            case Cron(cron=cron, timezone=timezone):
                return _shortest_span(cron, timezone, 2)
        return None

    @property
    def hold(self) -> float:
        """Seconds of one hold interval of a continuous steady-state."""
        return self.duration or DEFAULT_HOLD

    def shortest_span(self, runs: int) -> float:
        """The shortest time from the first to the last of `runs` consecutive runs, in seconds."""
        match self.schedule:
            case Every(every=period):
                return (runs - 1) * period
            case Cron(cron=cron, timezone=timezone):
                return _shortest_span(cron, timezone, runs)
        return (runs - 1) * self._interval

    @property
    def longest_gap(self) -> float:
        """The longest time between two runs, in seconds; of a continuous probe, between two exchanges of one pair."""
        match self.schedule:
            case Every(every=period):
                return period
            case Cron(cron=cron, timezone=timezone):
                return _longest_gap(cron, timezone)
        return self._interval

    @property
    def average_gap(self) -> float:
        """The average time between two runs, in seconds."""
        match self.schedule:
            case Every(every=period):
                return period
            case Cron(cron=cron, timezone=timezone):
                return _average_gap(cron, timezone)
        return self._interval

    @property
    def _interval(self) -> float:
        return SPECS[self.scenario].interval(self)

    @property
    def cycle(self) -> float:
        """Seconds from one exchange of a steady pair to its next."""
        return self.settle + 2 * self.message_interval

    @property
    def exchanges(self) -> int:
        """The exchanges of one bounded run: of each pair, or of all bare connections."""
        volume = self.volume
        return volume.exchanges // max(1, volume.pairs)

    @property
    def volume(self) -> RunVolume:
        """What one bounded run makes where nothing fails."""
        return SPECS[self.scenario].volume(self)

    @property
    def diagnosis_timeout(self) -> float:
        """Seconds that the diagnosis of a lost message may take after its exchange has failed."""
        return self.timeout / 4

    @property
    def reuses_sessions(self) -> bool:
        """Whether a run resumes the session of an earlier one instead of pairing."""
        return "pairing" in SPECS[self.scenario].keys and self.pairing == "reuse"

    @property
    def deadline(self) -> float:
        """Seconds after which a bounded run has ended: the sum of its timeouts and waits."""
        return SPECS[self.scenario].longest_run(self)
