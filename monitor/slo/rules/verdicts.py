"""What all locations of an install say of a relay together, as recorded series.

| series | labels | value |
|---|---|---|
| `relay:settings` | install, relay, severity, page_after, scope, owner, group | 1 |
| `relay:up:vote`, `relay:accepting:vote` | install, location, relay | verdict of a location whose monitor is healthy |
| `relay:up:ratio`, `relay:accepting:ratio` | install, relay | share of the votes for 1 |
| `relay:seen_up` | install, relay | present once the relay was up, or has been watched for half an hour |
| `relay:down`, `relay:not_accepting` | install, relay, regional: location | 1 while that is the verdict, else 0 |
| `relay:outage`, `relay:refusal` | as above | present while that has lasted for the relay's `page_after` |
| `relay:maintenance` | install, relay | present while every location that votes is in a maintenance window |
| `relay:member_down` | install, relay, group, severity, owner | present while it is down outside maintenance |
| `relay:group_down` | install, group, severity, owner | relays that are down, of a group that falls together |

Alerts select by install alone and take a relay's settings from `relay:settings`: a relay that the rules have never seen
is guarded as the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules.names import (
    ACCEPTING_RATIO,
    ACCEPTING_VOTE,
    DOWN,
    GROUP_DOWN,
    MAINTENANCE,
    MEMBER_DOWN,
    NOT_ACCEPTING,
    OUTAGE,
    REFUSAL,
    SEEN_UP,
    SETTINGS,
    UP_RATIO,
    UP_VOTE,
)
from monitor.slo.rules.rule import Record
from monitor.slo.rules.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

DEFAULT_PAGE_AFTER: Final = 30.0
"""Seconds that an alert waits for a relay whose `page_after` the rules do not know."""

DISAGREEMENT: Final = 270.0
"""Seconds for which half of the locations must report a relay down before it counts as down; `page_after` follows."""

SEEN_WINDOW: Final = 3600.0
"""Seconds within which a relay must have been up, if no monitor reports a success of it."""

UNSEEN_WAIT: Final = 1800.0
"""Seconds after which a relay that was never up counts as down."""

MIN_GROUP: Final = 3
"""Relays of a group that fall together."""

VOTER: Final = "install, location, job, instance"
"""The labels of one monitor process."""

LOCAL_RELAY: Final = "install, location, relay"
RELAY: Final = "install, relay"
GROUP: Final = "install, group"
GROUPED: Final = 'group!=""'

EVERYWHERE: Final = 'location=""'
ONE_LOCATION: Final = 'location!=""'
"""Matchers of the verdict of all locations, and of that of one location about a regional relay."""

KEEP_FIRING: Final = 120.0
"""Seconds for which a verdict alert fires after the repair: a relay that fails again meanwhile is the same page."""


class Selectors:
    """Writes selectors of the series of one install."""

    def __init__(self, config: Config) -> None:
        self.install = config.install

    def __call__(self, name: str, matchers: str = "") -> str:
        """Return the selector of `name` with more matchers."""
        more = f", {matchers}" if matchers else ""
        return f'{name}{{install="{self.install}"{more}}}'

    def joined(self, labels: str, matchers: str = "") -> str:
        """Return the text that gives an expression of relays these labels of their settings."""
        return f"\n* on ({RELAY}) group_left ({labels}) {self(SETTINGS, matchers)}"

    def owned(self, expr: str) -> str:
        """Return an expression of relays with the labels that every alert of a relay has."""
        return f"({expr}){self.joined('owner, group')}"


def page_after_classes(config: Config) -> list[tuple[float, str]]:
    """Return each `page_after` of the configuration with the matcher of its relays, and one for relays with others."""
    known = sorted({relay.page_after for relay in config.relays})
    classes = [(seconds, f'page_after="{show_duration(seconds)}"') for seconds in known]
    others = "|".join(show_duration(seconds) for seconds in known)
    return [*classes, (DEFAULT_PAGE_AFTER, f'page_after!~"{others}"')]


def records(config: Config) -> Iterator[Record]:
    """Yield the recorded series, in the order in which they depend on each other."""
    own, timing = Selectors(config), Timing.of(config)
    yield Record(name=SETTINGS, expr=_settings(own))
    yield Record(name=UP_VOTE, expr=_vote(own, "relay_up"))
    yield Record(name=ACCEPTING_VOTE, expr=_vote(own, "relay_accepting"))
    yield Record(name=UP_RATIO, expr=_ratio(own, UP_VOTE, "relay_up"))
    yield Record(name=ACCEPTING_RATIO, expr=_ratio(own, ACCEPTING_VOTE, "relay_accepting"))
    yield Record(name=SEEN_UP, expr=_seen_up(own, timing))
    yield Record(name=DOWN, expr=_down(own, timing))
    yield Record(name=NOT_ACCEPTING, expr=_not_accepting(own, timing))
    yield Record(name=OUTAGE, expr=_lasting(config, own, timing, DOWN))
    yield Record(name=REFUSAL, expr=_lasting(config, own, timing, NOT_ACCEPTING))
    yield Record(name=MAINTENANCE, expr=_maintenance(own))
    yield Record(name=MEMBER_DOWN, expr=_member_down(own))
    yield Record(name=GROUP_DOWN, expr=_group_down(own))


def _settings(own: Selectors) -> str:
    """One row for each relay: that of most monitors, which differ while a new configuration is deployed."""
    info = f'label_replace({own("relay_probe_relay_info")}, "severity", "$1", "max_severity", "(.*)")'
    by = "install, relay, severity, page_after, scope, owner, group"
    return f"topk by ({RELAY}) (1, count by ({by}) ({info})) > bool 0"


def _vote(own: Selectors, name: str) -> str:
    """One vote of each location: that of the newest healthy process of each shard."""
    started = f"({own('relay_monitor_start_time_seconds')} unless on ({VOTER}) {own('relay_monitor_healthy')} == 0)"
    newest = f"max by (install, location, shard) {started}"
    return (
        f"max by ({LOCAL_RELAY}) (\n{own(name)}\nunless on ({VOTER}) {own('relay_monitor_healthy')} == 0\n"
        f"unless on ({VOTER}) ({started} < on (install, location, shard) group_left () {newest})\n)"
    )


def _ratio(own: Selectors, vote: str, name: str) -> str:
    """The share of the votes; while no monitor is healthy the last verdicts stand, as far as they are exported."""
    return f"avg by ({RELAY}) ({own(vote)})\nor on ({RELAY})\navg by ({RELAY}) (max by ({LOCAL_RELAY}) ({own(name)}))"


def _seen_up(own: Selectors, timing: Timing) -> str:
    window, before = (show_duration(timing.recorded(seconds)) for seconds in (SEEN_WINDOW, UNSEEN_WAIT))
    succeeded = own("relay_probe_last_success_timestamp_seconds")
    return (
        f"max_over_time({own(UP_RATIO)}[{window}]) > 0\n"
        f"or on ({RELAY}) (max by ({RELAY}) ({succeeded}) > 0)\n"
        f"or on ({RELAY}) last_over_time({own(UP_RATIO)}[{window}] offset {before})"
    )


def _down(own: Selectors, timing: Timing) -> str:
    return _flags(own, timing, UP_VOTE, UP_RATIO, f"and on ({RELAY}) {own(SEEN_UP)}")


def _not_accepting(own: Selectors, timing: Timing) -> str:
    """Only existing connections work. From one location alone the monitor itself may be rate-limited: it waits."""
    span = show_duration(timing.recorded(DISAGREEMENT))
    rate_limited = own("relay_cause_info", 'reason="rate_limited"')
    limited = (
        f"(count by ({RELAY}) ({own(ACCEPTING_VOTE)}) == 1\nand on ({RELAY}) {rate_limited} == 1\n"
        f"unless on ({RELAY}) (max_over_time({own(ACCEPTING_RATIO)}[{span}]) < 0.5 "
        f"and {own(ACCEPTING_RATIO)} offset {span}))"
    )
    down = f"unless on ({RELAY}) {own(UP_RATIO)} < 0.5\nunless on ({RELAY}) {own(DOWN)} == 1"
    condition = f"{down}\nunless on ({RELAY}) {limited}"
    return _flags(own, timing, ACCEPTING_VOTE, ACCEPTING_RATIO, condition)


def _flags(own: Selectors, timing: Timing, vote: str, ratio: str, condition: str) -> str:
    """1 while a verdict of 0 stands, else 0: of one location for a regional relay, and of all locations.

    All locations: of a majority, or for long of half of them. One location's verdict needs proof that its network
    works: another relay that is up, or a reference; if it stands, it takes the place of that of all.
    """
    span = show_duration(timing.recorded(DISAGREEMENT))
    regional = f"on ({RELAY}) " + own(SETTINGS, 'scope="regional"')
    another = f"max by (install, location) ({own(UP_VOTE)}) == 1"
    reference = f"max by (install, location) ({own('relay_monitor_reference_up')}) == 1"
    here = f"{own(vote)} == 0 and {regional} and on (install, location) ({another} or {reference})\n{condition}"
    half = f"{own(ratio)} == 0.5 and max_over_time({own(ratio)}[{span}]) <= 0.5 and {own(ratio)} offset {span} <= 0.5"
    everywhere = f"({own(ratio)} < 0.5 or {half})\n{condition}\nunless on ({RELAY}) ({here})"
    return f"({here}) > bool -1\nor\n0 * {own(vote)} and {regional}\nor\n({everywhere}) > bool -1\nor\n0 * {own(ratio)}"


def _maintenance(own: Selectors) -> str:
    window = f"max by ({LOCAL_RELAY}) ({own('relay_maintenance')})"
    return (
        f"min by ({RELAY}) ({window} and on ({LOCAL_RELAY}) {own(UP_VOTE)}) == 1\n"
        f"or on ({RELAY}) (min by ({RELAY}) ({window}) == 1 unless on ({RELAY}) {own(UP_VOTE)})"
    )


def _member_down(own: Selectors) -> str:
    down = f"max by ({RELAY}) ({own(DOWN)}) == 1 unless on ({RELAY}) {own(MAINTENANCE)}"
    return f"({down}){own.joined('group, severity, owner', GROUPED)}"


def _group_down(own: Selectors) -> str:
    """How many relays of a group are down outside maintenance: three at least, and half of the group.

    The group has the highest severity of these relays, and the owner of most of them.
    """
    fallen = own(MEMBER_DOWN)
    count = f"count by ({GROUP}) ({fallen})"
    critical = own(MEMBER_DOWN, 'severity="critical"')
    severity = (
        f"(count by ({GROUP}, severity) ({critical}) > bool 0\n"
        f"or on ({GROUP}) count by ({GROUP}, severity) ({fallen}) > bool 0)"
    )
    owner = f"(topk by ({GROUP}) (1, count by ({GROUP}, owner) ({fallen})) > bool 0)"
    return (
        f"({count} >= {MIN_GROUP}\nand on ({GROUP}) "
        f"({count} >= on ({GROUP}) 0.5 * count by ({GROUP}) ({own(SETTINGS, GROUPED)})))\n"
        f"* on ({GROUP}) group_left (severity) {severity}\n* on ({GROUP}) group_left (owner) {owner}"
    )


def _lasting(config: Config, own: Selectors, timing: Timing, verdict: str) -> str:
    """The verdict once it has lasted for the relay's `page_after`.

    `for` would need a rule for each `page_after`, and promtool takes rules of equal names and labels for an error.
    """
    parts = []
    for seconds, matcher in page_after_classes(config):
        waited = timing.wait(seconds)
        relays = f"{own(verdict)} == 1 and on ({RELAY}) {own(SETTINGS, matcher)}"
        if waited:
            span = show_duration(waited)
            # A missed evaluation is no interruption.
            relays += f" and {own(verdict)} offset {span} == 1 unless min_over_time({own(verdict)}[{span}]) == 0"
        parts.append(relays)
    return "\nor\n".join(parts)
