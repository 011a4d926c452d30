"""What an exchange counts, as examples and as a property of random histories of one relay."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import utc
from monitor.daemon.counting import bad_seconds, cause_of, counts_bad
from monitor.daemon.pipeline import MAX_ATTEMPT_DELAY, ResultPipeline
from monitor.health.history import UnhealthySpans
from monitor.reachability.outage import OutageLog
from monitor.results import Cause, Exchange, Failure, Paired, Pairing, PairTime, Run, Skipped, Untried
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.session.world import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = Failure(step=Step.TCP, reason=Reason.REFUSED, detail="refused")
LATEST = Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="503", detail="HTTP 503", at=1100.0)


class FakeVerdict(OutageLog):
    """The outages of one relay, told by a test; nothing else of a verdict."""

    unresolved = unobserved = False

    outage_before = OutageLog.before

    def observe(self, *_: object) -> None:
        """Take nothing into account."""


class FakeHealth(UnhealthySpans):
    """The monitor's health, told by a test."""

    healthy = True

    def check_loop_lag(self) -> None:
        """Find nothing."""

    def was_healthy(self, since: float, until: float) -> bool:
        return not self.overlaps(since, until)


@dataclass
class World:
    """A pipeline with everything around it told by a test; `counted` holds what it records."""

    clock: ManualClock = field(default_factory=ManualClock)
    verdict: FakeVerdict = field(default_factory=FakeVerdict)
    health: FakeHealth = field(default_factory=FakeHealth)
    windows: list[tuple[float, float]] = field(default_factory=list)
    active: bool = True
    counted: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        wall = self.clock.wall - self.clock.now

        def overlaps(_: str, since: float, until: float) -> bool:
            return any(start + wall <= until and since < end + wall for start, end in self.windows)

        maintenance = SimpleNamespace(overlaps=overlaps, active=lambda _: None)
        metrics = SimpleNamespace(publish=self.counted.append)
        journal = SimpleNamespace(add=lambda *_: None, report=lambda _: None)
        self.pipeline = ResultPipeline(
            clock=self.clock,
            metrics=metrics,  # type: ignore[arg-type]
            journal=journal,  # type: ignore[arg-type]
            maintenance=lambda: maintenance,  # type: ignore[arg-type,return-value]
            health=self.health,  # type: ignore[arg-type]
            verdict_of=lambda _: self.verdict,  # type: ignore[arg-type,return-value]
        )

    def process(self, report: Any, active: Callable[[], bool] | None = None) -> None:
        context: Any = SimpleNamespace(active=active or (lambda: self.active))
        self.pipeline.process(report, context)

    def run(self, due: float, outcome: Outcome = Outcome.FAILED, **more: Any) -> Run:
        """Return a run that was due at `due` and ended then, unless `known_at` says otherwise."""
        failure = None if outcome is Outcome.OK else REFUSED
        usual: dict[str, Any] = {"known_at": due, "exchanges": (Exchange(outcome=outcome, failure=failure),)}
        return Run(
            id=f"{due:.3f}",
            relay="demo",
            probe="steady",
            scenario=Scenario.STEADY_MESSAGING,
            started_at=utc(self.clock),
            duration=0.0,
            outcome=outcome,
            failure=failure,
            due=due,
            **(usual | more),
        )

    def fail(self, *starts: float) -> None:
        """Let attempts fail that confirm an outage."""
        for at in starts:
            cause = Cause(step=Step.TCP, reason=Reason.REFUSED, detail="refused", at=at)
            self.verdict.attempt_failed(at, cause, confirmed=True)

    def outcomes(self) -> list[Outcome]:
        return [item.outcome for item in self.counted if isinstance(item, Run)]


@pytest.fixture
def world() -> World:
    return World()


WITHHELD = Untried(failed_at=1000.0, withheld=True)
NATURAL = Untried(failed_at=1000.0)


class TestUntriedSlots:
    @pytest.mark.parametrize("untried", [WITHHELD, NATURAL, Untried()])
    def test_inside_an_outage_they_count_bad(self, world: World, untried: Untried) -> None:
        world.fail(1000.0, 1100.0)
        assert counts_bad(untried, 1050.0, world.verdict) is True

    @pytest.mark.parametrize("untried", [WITHHELD, NATURAL, Untried()])
    def test_after_the_last_failed_attempt_the_next_one_decides(self, world: World, untried: Untried) -> None:
        world.fail(1000.0, 1100.0)
        assert counts_bad(untried, 1105.0, world.verdict) is None
        world.verdict.end_outage(1110.0)
        assert counts_bad(untried, 1105.0, world.verdict) is False
        assert counts_bad(untried, 1500.0, world.verdict) is False

    def test_a_drop_after_the_repair_counts(self, world: World) -> None:
        world.fail(1000.0, 1100.0)
        world.verdict.end_outage(1110.0)
        assert counts_bad(Untried(failed_at=1200.0), 1201.0, world.verdict) is True

    @pytest.mark.parametrize(("untried", "bad"), [(WITHHELD, False), (NATURAL, True), (Untried(), False)])
    def test_without_an_outage_only_a_client_that_waits_as_any_would_counts(
        self, world: World, untried: Untried, *, bad: bool
    ) -> None:
        assert counts_bad(untried, 1001.0, world.verdict) is bad

    def test_the_cause_is_that_of_the_latest_real_attempt_with_its_age(self, world: World) -> None:
        """A pair that waits gave each slot the cause of its own last attempt, a minute old."""
        world.fail(1000.0)
        world.verdict.attempt_failed(1100.0, LATEST, confirmed=True)
        cause = cause_of(world.run(1050.0, untried=NATURAL), world.verdict)
        assert cause is not None
        assert (cause.step, cause.reason, cause.status) == (Step.UPGRADE, Reason.HTTP_STATUS, "503")
        assert cause.detail == "HTTP 503; as seen by an attempt 50 s later"
        own = cause_of(world.run(1001.0, untried=Untried(failed_at=995.0)), World().verdict)
        assert own is not None
        assert own.detail == "refused; as seen by an attempt 6 s earlier"

    def test_one_that_did_not_begin_is_no_run_outside_an_outage(self, world: World) -> None:
        run = world.run(1000.0, Outcome.ABORTED, untried=Untried(withheld=True))
        world.process(Skipped("demo", "steady", run.id, run))
        world.clock.move(MAX_ATTEMPT_DELAY)
        world.pipeline.review()
        assert world.counted == []

    def test_seconds_count_by_the_part_inside_the_outage(self, world: World) -> None:
        world.fail(1000.0, 1100.0)
        world.verdict.end_outage(1102.0)
        report = PairTime("demo", "steady", "", False, 20.0, 1095.0, 1105.0, WITHHELD)  # noqa: FBT003 - a field
        assert bad_seconds(report, world.verdict) == 10.0

    def test_a_due_pairing_counts_like_a_slot(self, world: World) -> None:
        for since in (1050.0, 1105.0):
            aborted = Pairing(outcome=Outcome.ABORTED)
            world.process(Paired("demo", "steady", "", aborted, since=since, until=since, untried=WITHHELD))
        world.fail(1000.0, 1100.0)
        world.verdict.end_outage(1110.0)
        world.clock.move(200.0)
        world.pipeline.review()
        assert [item.pairing.outcome for item in world.counted] == [Outcome.FAILED]

    def test_a_retry_of_a_pairing_counts_for_nothing(self, world: World) -> None:
        world.process(Paired("demo", "steady", "", Pairing(outcome=Outcome.FAILED), retry=True))
        assert world.counted == []


class TestSpans:
    @pytest.mark.parametrize(
        ("due", "known_at", "outcome"),
        [
            (980.0, 999.0, Outcome.FAILED),  # it failed before the window, and is recorded inside it
            (990.0, 1005.0, Outcome.EXCLUDED),
            (1010.0, 1012.0, Outcome.EXCLUDED),
            (1055.0, 1070.0, Outcome.EXCLUDED),  # broken inside the window, and recorded after it
            (1060.0, 1061.0, Outcome.FAILED),
        ],
    )
    def test_maintenance_is_that_of_the_run(self, world: World, due: float, known_at: float, outcome: Outcome) -> None:
        world.windows = [(1000.0, 1060.0)]
        world.clock.move(5.0 if known_at < 1000 else known_at - 1000.0 + 30.0)
        world.process(world.run(due, known_at=known_at))
        assert world.outcomes() == [outcome]

    @pytest.mark.parametrize(("due", "outcome"), [(980.0, Outcome.FAILED), (1005.0, Outcome.ABORTED)])
    def test_health_is_that_of_the_run(self, world: World, due: float, outcome: Outcome) -> None:
        world.health.begin(1000.0)
        world.health.end(1015.0)
        world.clock.move(60.0)
        world.process(world.run(due, known_at=due + 4.0))
        assert world.outcomes() == [outcome]

    def test_what_was_due_after_the_window_and_broken_inside_it_is_excluded(self, world: World) -> None:
        world.windows = [(1000.0, 1060.0)]
        world.clock.move(65.0)
        world.process(world.run(1062.0, untried=Untried(failed_at=1058.0)))
        assert world.outcomes() == [Outcome.EXCLUDED]

    def test_pairings_and_seconds_in_a_window_count_for_nothing(self, world: World) -> None:
        world.windows = [(1000.0, 1060.0)]
        world.clock.move(100.0)
        world.process(Paired("demo", "steady", "", Pairing(outcome=Outcome.FAILED), since=1010.0, until=1015.0))
        world.process(PairTime("demo", "steady", "", True, 5.0, 1056.0, 1061.0))  # noqa: FBT003 - a field
        assert world.counted == []
        world.process(PairTime("demo", "steady", "", True, 5.0, 1061.0, 1066.0))  # noqa: FBT003 - a field
        assert len(world.counted) == 1


class TestReload:
    def test_what_is_held_for_a_probe_that_is_gone_is_dropped(self, world: World) -> None:
        """It was counted under the new scenario of the same name, as bad events."""
        world.verdict.unresolved = True
        world.process(world.run(1000.0))
        world.active = False
        world.process(world.run(1001.0), active=lambda: True)
        world.verdict.unresolved = False
        world.pipeline.release("demo")
        assert [run.due for run in world.counted] == [1001.0]


KINDS = ("tried", "natural", "withheld", "skipped")


@dataclass(frozen=True)
class Slot:
    due: float
    kind: str
    active: bool  # its probe is not removed by the reload


def history(rng: random.Random) -> tuple[list[tuple[float, bool]], list[Slot], list[tuple[float, float]]]:
    """Return attempts (when, and whether one failed), slots and windows of maintenance."""
    now, attempts = 1000.0, []
    for down in (False, True, False, True, False):
        for _ in range(rng.randrange(3, 9)):
            now += rng.choice((5.0, 20.0))
            attempts.append((now, down))
    end = now
    slots = [Slot(rng.uniform(1000.0, end), rng.choice(KINDS), rng.random() < 0.9) for _ in range(80)]
    windows = [(start := rng.uniform(1000.0, end), start + rng.uniform(5.0, 60.0)) for _ in range(rng.randrange(2))]
    return attempts, slots, windows


def latest(attempts: list[tuple[float, bool]], due: float, *, failed: bool) -> float | None:
    return max((at for at, down in attempts if down is failed and at <= due), default=None)


def expected(slot: Slot, attempts: list[tuple[float, bool]], windows: list[tuple[float, float]]) -> Outcome | None:
    """Return what a slot counts, straight from the rules; None if it is no run."""
    before = [down for at, down in attempts if at <= slot.due]
    after = [down for at, down in attempts if at > slot.due]
    failing = bool(before) and before[-1]
    bad = failing if slot.kind == "tried" else failing and bool(after) and after[0]
    if slot.kind == "skipped" and not bad:
        return None
    since = slot.due
    if not bad and slot.kind != "tried":
        since = latest(attempts, slot.due, failed=True) or since  # its cause
    if any(start <= slot.due and since < end for start, end in windows):
        return Outcome.EXCLUDED
    if bad:
        return Outcome.FAILED
    return Outcome.OK if slot.kind == "tried" else Outcome.ABORTED


def outcomes_of(seed: int, order: int) -> dict[float, Outcome]:
    """Play a history, with the reports delayed and ordered by another seed; return the outcome of each slot."""
    attempts, slots, windows = history(random.Random(seed))
    delays, world = random.Random(order), World()
    world.windows = windows
    reload_at = attempts[-1][0] - 10.0
    gone = [False]
    down_before = False
    events: list[tuple[float, int, Any]] = [(at + 0.001, 0, down) for at, down in attempts]
    events += [(slot.due + delays.uniform(0.01, 4.0), 1, slot) for slot in slots]
    for at, kind, what in sorted(events, key=lambda event: event[:2]):
        world.clock.move(max(0.0, at - world.clock.now))
        if at >= reload_at:
            world.pipeline.review()
            gone[0] = True
        if kind == 0 and what:
            world.fail(at - 0.001)
        elif kind == 0 and down_before:
            world.verdict.end_outage(at)
        if kind == 0:
            down_before = what
        if kind == 1 and not (gone[0] and not what.active):
            failed_at = latest(attempts, what.due, failed=True)
            world.process(report_of(world, what, attempts, failed_at), partial(is_active, what, gone))
        if delays.random() < 0.5:
            world.pipeline.review()
    world.clock.move(2 * MAX_ATTEMPT_DELAY)
    world.pipeline.close()
    dues = [item.due for item in world.counted]
    assert len(dues) == len(set(dues)), "each slot counts once"
    return {item.due: item.outcome for item in world.counted}


def is_active(slot: Slot, gone: list[bool]) -> bool:
    return slot.active or not gone[0]


def report_of(world: World, slot: Slot, attempts: list[tuple[float, bool]], failed_at: float | None) -> Any:
    if slot.kind == "tried":
        up = latest(attempts, slot.due, failed=False) or 0.0
        return world.run(slot.due, Outcome.FAILED if (failed_at or 0.0) > up else Outcome.OK)
    untried = Untried(failed_at=failed_at, withheld=slot.kind != "natural")
    run = world.run(slot.due, Outcome.ABORTED, untried=untried)
    return Skipped("demo", "steady", run.id, run) if slot.kind == "skipped" else run


@pytest.mark.parametrize("seed", range(100))
def test_each_slot_counts_once_by_the_rules_whatever_the_order_of_the_reports(seed: int) -> None:
    attempts, slots, windows = history(random.Random(seed))
    found = outcomes_of(seed, order=2 * seed)
    again = outcomes_of(seed, order=2 * seed + 1)
    for slot in slots:
        if not slot.active:
            continue
        should = expected(slot, attempts, windows)
        assert found.get(slot.due) == again.get(slot.due) == should, slot
        repaired = [at for at, down in attempts if not down and at <= slot.due]
        failed = [at for at, down in attempts if down and at <= slot.due]
        if slot.kind != "tried" and repaired and (not failed or repaired[-1] > failed[-1]):
            assert found.get(slot.due) is not Outcome.FAILED, "nothing untried counts bad after the repair"
