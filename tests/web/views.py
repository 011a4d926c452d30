"""View models of monitors in several states, built by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from monitor.journal import Cell, FailureGroup, RunSummary
from monitor.scenarios import Scenario
from monitor.vocabulary import Condition, Outcome, Reason, Step
from monitor.web.model import (
    Banner,
    BudgetView,
    CauseView,
    IncidentView,
    LastRun,
    LatencyPoint,
    Level,
    MonitorView,
    ProbeView,
    RelayLinks,
    RelayView,
    RoundTripView,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW: Final = datetime(2026, 3, 1, 3, 10, 20, tzinfo=UTC)

WORST: Final = (Condition.DOWN, Condition.NOT_ACCEPTING, Condition.UNKNOWN, Condition.DEGRADED, Condition.UP)
"""The conditions in the order in which relays are listed."""

DETAIL: Final = "connect to 192.0.2.7:443 refused"


def run_id(number: int) -> str:
    return f"018f2f3a-0000-7000-8000-{number:012x}"


def cells(seconds: int, count: int, failed: Sequence[int] = (), partial: Sequence[int] = ()) -> tuple[Cell, ...]:
    """Return cells of good runs; `failed` and `partial` are the numbers of bad ones, counted from the latest, 0."""
    start = datetime.fromtimestamp((NOW.timestamp() // seconds - count + 1) * seconds, UTC)
    made = []
    for number in range(count):
        back = count - 1 - number
        bad = 4 if back in failed else back in partial
        made.append(
            Cell(
                start=start + timedelta(seconds=number * seconds),
                ok=0 if back in failed else 12,
                failed=int(bad),
                lost=int(back in partial),
                worst=Outcome.FAILED if bad else Outcome.OK,
                run_id=run_id(number) if bad else None,
            )
        )
    return tuple(made)


def probe(
    name: str,
    scenario: Scenario,
    *,
    ok: bool = True,
    age: float = 4.0,
    step: Step = Step.TCP,
    status: str = "",
    **changes: Any,
) -> ProbeView:
    outcome = Outcome.OK if ok else Outcome.FAILED
    summary = RunSummary(
        id=run_id(7),
        started_at=NOW - timedelta(seconds=age + 2),
        duration=2.0,
        outcome=outcome,
        step=None if ok else step,
        reason=None if ok else Reason.HTTP_STATUS if status else Reason.REFUSED,
        status=status,
    )
    defaults: dict[str, Any] = {
        "name": name,
        "scenario": scenario,
        "schedule": "continuous",
        "condition": outcome.value,
        "last": LastRun(run=summary, age=age),
        "last_good_age": age if ok else 131.0,
        "next_due": None,
    }
    return ProbeView(**(defaults | changes))


def series(*, bad: int = 0, slow: float = 1.0) -> tuple[LatencyPoint, ...]:
    """Return the round trips of an hour; there are none in the last `bad` minutes."""
    return tuple(
        LatencyPoint(
            start=NOW - timedelta(minutes=60 - number),
            p50=None if number >= 60 - bad else slow * (0.036 + 0.004 * (number * 7 % 5)),
            p99=None if number >= 60 - bad else slow * (0.07 + 0.03 * (number * 11 % 9)),
        )
        for number in range(60)
    )


def budget(slo: str, left: float | None, objective: float = 0.999) -> BudgetView:
    good, bad = 201_600.0, 0.0 if left is None else round((1 - left) * (1 - objective) * 201_600)
    return BudgetView(
        slo=slo,
        objective=objective,
        left=left,
        good=good,
        bad=bad,
        span_seconds=6.2 * 86_400,
        window_seconds=30 * 86_400.0,
        source=Source.JOURNAL,
    )


def relay(name: str, **changes: Any) -> RelayView:
    """Return a healthy relay."""
    defaults: dict[str, Any] = {
        "name": name,
        "url": f"wss://{name}.example.com/connection/websocket",
        "condition": Condition.UP,
        "since": NOW - timedelta(days=3, hours=4),
        "seconds": 273_600.0,
        "sentence": "up for 3 d 4 h",
        "cause": None,
        "up": True,
        "accepting": True,
        "last_delivered": NOW - timedelta(seconds=3),
        "maintenance": None,
        "hour": cells(60, 60),
        "day": cells(900, 96),
        "success_ratio_1h": 1.0,
        "round_trip": RoundTripView(p50=0.038, p99=0.162, threshold=0.4, series=series()),
        "lost_1h": 0,
        "budgets": (budget("delivery", 0.93), budget("round-trip", 0.71, 0.99)),
        "certificate_days": 61.0,
        "probes": (
            probe("steady", Scenario.STEADY_MESSAGING),
            probe("idle", Scenario.STEADY_STATE, age=21),
            probe(
                "offline-30s",
                Scenario.ASYNC_DELIVERY,
                age=18,
                schedule="every 1m",
                next_due=NOW + timedelta(seconds=42),
            ),
            probe(
                "session", Scenario.REALISTIC_SESSION, age=141, schedule="every 5m", next_due=NOW + timedelta(minutes=3)
            ),
        ),
        "failures": (),
        "incident": None,
        "links": RelayLinks(runbook="https://docs.example.com/runbooks", incidents=f"/incidents?relay={name}"),
    }
    values = defaults | changes
    return RelayView(why=values["sentence"].partition(": ")[2], **values)


def down_relay(name: str, seconds: float = 124.0, **changes: Any) -> RelayView:
    since = NOW - timedelta(seconds=seconds)
    minutes = range(int(seconds // 60) + 1)
    group = FailureGroup(
        relay=name, probe="steady", step=Step.TCP, reason=Reason.REFUSED, status="", detail=DETAIL, count=71,
        first=since, last=NOW - timedelta(seconds=2), run_id=run_id(3),
    )  # fmt: skip
    defaults: dict[str, Any] = {
        "condition": Condition.DOWN,
        "since": since,
        "seconds": seconds,
        "sentence": "down for 2 min 04 s: tcp refused, 25 of 25 attempts failed",
        "cause": CauseView(step=Step.TCP, reason=Reason.REFUSED, status="", detail=DETAIL, endpoint="", age=2.0),
        "up": False,
        "accepting": False,
        "last_delivered": since - timedelta(seconds=4),
        "hour": cells(60, 60, failed=minutes),
        "day": cells(900, 96, partial=(0, 30)),
        "success_ratio_1h": 0.962,
        "round_trip": RoundTripView(p50=0.039, p99=0.171, threshold=0.4, series=series(bad=2)),
        "budgets": (budget("delivery", -0.12), budget("round-trip", 0.18, 0.99)),
        "probes": (
            probe("steady", Scenario.STEADY_MESSAGING, ok=False, age=2),
            probe("idle", Scenario.STEADY_STATE, ok=False, age=5),
            probe("offline-30s", Scenario.ASYNC_DELIVERY, ok=False, age=31, schedule="every 1m"),
            probe("session", Scenario.REALISTIC_SESSION, age=201, schedule="every 5m", condition="stale"),
        ),
        "failures": (group, replace(group, probe="offline-30s", count=2)),
        "incident": "amber-otter-3107",
    }
    return relay(name, **(defaults | changes))


def degraded_relay(name: str) -> RelayView:
    return relay(
        name,
        condition=Condition.DEGRADED,
        since=NOW - timedelta(minutes=14, seconds=9),
        seconds=849.0,
        sentence="degraded for 14 min 09 s: 3 of 28 exchanges failed, deliver lost at n2",
        hour=cells(60, 60, partial=range(0, 14, 3)),
        success_ratio_1h=0.831,
        lost_1h=4,
        round_trip=RoundTripView(p50=0.21, p99=0.71, threshold=0.4, series=series(slow=4)),
        budgets=(budget("delivery", 0.11), budget("round-trip", 0.4, 0.99)),
        certificate_days=6.0,
        incident="brisk-heron-0221",
    )


def incident(name: str, *, closed: bool = True, worst: Condition = Condition.DOWN) -> IncidentView:
    return IncidentView(
        id="amber-otter-3107",
        relay=name,
        began_at=NOW - timedelta(minutes=9, seconds=6),
        opened_at=NOW - timedelta(minutes=9),
        recovered_at=NOW - timedelta(seconds=390) if closed else None,
        closed_at=NOW - timedelta(seconds=90) if closed else None,
        worst=worst,
        sentence="down for 2 min 04 s: tcp refused",
    )


def monitor(*relays: RelayView, banner: Banner | None = None, **changes: Any) -> MonitorView:
    """Return the view of a monitor of these relays."""
    if banner is None:
        bad = sum(relay.condition is not Condition.UP for relay in relays)
        sentence = f"{bad} of {len(relays)} relays have a problem" if bad else f"All {len(relays)} relays are up"
        banner = Banner(level=Level.CRITICAL if bad else Level.OK, sentence=sentence)
    defaults: dict[str, Any] = {
        "version": "1.2.3",
        "install": "prod",
        "location": "eu-1",
        "shard": "0/1",
        "started_at": NOW - timedelta(days=6),
        "now": NOW,
        "healthy": True,
        "reasons": (),
        "config_hash": "3f9c2ab1d4e5",
        "reloaded_at": NOW - timedelta(hours=7),
        "journal_healthy": True,
        "banner": banner,
        "relays": tuple(sorted(relays, key=lambda relay: WORST.index(relay.condition))),
        "failures": tuple(group for relay in relays for group in relay.failures),
    }
    return MonitorView(**(defaults | changes))


def forty(down: int = 3) -> MonitorView:
    """Return the view of 40 relays, of which the first are down."""
    names = [f"relay-{number:02}" for number in range(1, 41)]
    relays = [down_relay(name) for name in names[:down]] + [relay(name) for name in names[down:]]
    sentence = f"{down} of 40 relays are down: {', '.join(names[:down])}, tcp refused, for 2 min 04 s"
    return monitor(*relays, banner=Banner(level=Level.CRITICAL, sentence=sentence))
