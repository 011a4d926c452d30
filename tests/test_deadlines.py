"""`deadlines`: nobody is told too early, too late or in vain, and one timer does for all."""

from __future__ import annotations

import asyncio

import pytest

from monitor.clock import LoopClock
from monitor.deadlines import MAX_CHECKS_PER_CALLBACK, TIMER_RESOLUTION, Deadlines
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS


class Message:
    """Waits for an answer, and notes when it was told that its time is up."""

    def __init__(self, clock: LoopClock, deadline: float) -> None:
        self.answered = False
        self.deadline = deadline
        self.told: list[float] = []
        self._clock = clock
        self._began = clock.monotonic()

    def due(self) -> float | None:
        return None if self.answered else self.deadline

    def overdue(self) -> None:
        self.told.append(self._clock.monotonic() - self._began)


class Broken(Message):
    def overdue(self) -> None:
        super().overdue()
        raise RuntimeError("a fault of this program")


class Stage:
    """Deadlines from now, and how often their timer was set."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.deadlines = Deadlines(self.clock)
        self.timers = 0
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def counted(*arguments: object, **more: object) -> object:
            self.timers += 1
            return call_at(*arguments, **more)  # type: ignore[arg-type]

        loop.call_at = counted  # type: ignore[assignment]

    def expect(self, seconds: float, kind: type[Message] = Message) -> Message:
        message = kind(self.clock, self.clock.monotonic() + seconds)
        self.deadlines.add(message.deadline, message)
        return message


async def test_whoever_is_not_done_hears_of_it_at_the_deadline() -> None:
    stage = Stage()
    late, later, soon = stage.expect(5), stage.expect(7), stage.expect(1)
    await asyncio.sleep(10)
    assert [message.told for message in (soon, late, later)] == [[1], [5], [7]]


async def test_whoever_is_done_never_hears_of_it() -> None:
    stage = Stage()
    answered, lost = stage.expect(5), stage.expect(6)
    answered.answered = True
    await asyncio.sleep(10)
    assert (answered.told, lost.told) == ([], [6])


async def test_what_comes_in_time_costs_one_timer_for_all_of_it() -> None:
    stage = Stage()
    for _ in range(400):
        message = stage.expect(5)
        await asyncio.sleep(0.01)
        message.answered = True
    stage.timers = 0
    waiting = stage.expect(5)
    await asyncio.sleep(10)
    assert waiting.told == [5]
    assert stage.timers <= 4  # two sleeps' worth of them at most, and hardly one for each of four hundred


async def test_a_deadline_that_lies_before_all_others_is_not_late() -> None:
    stage = Stage()
    first = stage.expect(60)
    await asyncio.sleep(1)
    second = stage.expect(2)
    await asyncio.sleep(3)
    assert (first.told, second.told) == ([], [2])


async def test_a_deadline_in_the_past_is_told_at_once() -> None:
    stage = Stage()
    message = stage.expect(-3)
    await asyncio.sleep(2 * TIMER_RESOLUTION)
    assert message.told == [pytest.approx(TIMER_RESOLUTION)]


async def test_one_that_fails_when_told_holds_up_nobody() -> None:
    stage = Stage()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    broken, next_one = stage.expect(1, Broken), stage.expect(1)
    await asyncio.sleep(2)
    assert (broken.told, next_one.told, len(failures)) == ([1], [1], 1)


async def test_nothing_is_kept_of_what_is_done() -> None:
    stage = Stage()
    for _ in range(2 * MAX_CHECKS_PER_CALLBACK + 1):
        stage.expect(5).answered = True
    last = stage.expect(5)
    await asyncio.sleep(5)
    assert stage.deadlines.count > MAX_CHECKS_PER_CALLBACK  # the rest waits for the next callback
    await asyncio.sleep(3 * TIMER_RESOLUTION)
    assert stage.deadlines.count == 0
    assert last.told == [pytest.approx(5, abs=3 * TIMER_RESOLUTION)]


class Exchange(Message):
    """Waits for one answer after another, each for so many seconds."""

    def ask(self, stage: Stage, seconds: float) -> None:
        self.answered, self.deadline = False, stage.clock.monotonic() + seconds
        stage.deadlines.add(self.deadline, self)


async def test_one_who_waits_for_one_thing_after_another_has_one_entry() -> None:
    stage = Stage()
    exchange = stage.expect(5, Exchange)
    assert isinstance(exchange, Exchange)
    for _ in range(400):
        exchange.answered = True
        await asyncio.sleep(0.1)
        exchange.ask(stage, 5)
        assert stage.deadlines.count == 1
    exchange.ask(stage, 4.5)  # sooner than the one before would have been
    await asyncio.sleep(3)
    exchange.answered = True
    await asyncio.sleep(10)
    assert (exchange.told, stage.deadlines.count) == ([], 0)


@pytest.mark.parametrize(
    ("first", "after", "second", "told"),
    [(5, 3, 5, 8), (60, 1, 2, 3)],
    ids=["later than the entry", "sooner than the entry"],
)
async def test_whatever_the_entry_was_for_the_present_deadline_is_told_once(
    first: float, after: float, second: float, told: float
) -> None:
    stage = Stage()
    exchange = stage.expect(first, Exchange)
    assert isinstance(exchange, Exchange)
    await asyncio.sleep(after)
    exchange.ask(stage, second)
    await asyncio.sleep(100)
    assert (exchange.told, stage.deadlines.count) == ([told], 0)


async def test_what_is_asked_for_while_one_is_told_is_told_too() -> None:
    stage = Stage()

    class Persistent(Exchange):
        def overdue(self) -> None:
            super().overdue()
            if len(self.told) < 3:
                self.deadline = self._clock.monotonic() + 2

    exchange = stage.expect(1, Persistent)
    await asyncio.sleep(20)
    assert (exchange.told, stage.deadlines.count) == ([1, 3, 5], 0)
