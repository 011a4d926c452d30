"""`deadlines`: nobody is notified too early, too late or in vain, and one timer does for all."""

from __future__ import annotations

import asyncio

import pytest

from monitor.clock import LoopClock
from monitor.deadlines import MAX_CHECKS_PER_CALLBACK, TIMER_RESOLUTION, Deadlines
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS


class Message:
    """Waits for an answer, and notes when it was notified that its time is up."""

    def __init__(self, clock: LoopClock, deadline: float) -> None:
        self.answered = False
        self.deadline = deadline
        self.notified: list[float] = []
        self._clock = clock
        self._began = clock.monotonic()

    def due(self) -> float | None:
        return None if self.answered else self.deadline

    def overdue(self) -> None:
        self.notified.append(self._clock.monotonic() - self._began)


class Broken(Message):
    def overdue(self) -> None:
        super().overdue()
        raise RuntimeError("a fault of this program")


class DeadlinesHarness:
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
    harness = DeadlinesHarness()
    second, third, first = harness.expect(5), harness.expect(7), harness.expect(1)
    await asyncio.sleep(10)
    assert [message.notified for message in (first, second, third)] == [[1], [5], [7]]


async def test_whoever_is_done_never_hears_of_it() -> None:
    harness = DeadlinesHarness()
    answered, lost = harness.expect(5), harness.expect(6)
    answered.answered = True
    await asyncio.sleep(10)
    assert (answered.notified, lost.notified) == ([], [6])


async def test_what_comes_in_time_costs_one_timer_for_all_of_it() -> None:
    harness = DeadlinesHarness()
    for _ in range(400):
        message = harness.expect(5)
        await asyncio.sleep(0.01)
        message.answered = True
    harness.timers = 0
    waiting = harness.expect(5)
    await asyncio.sleep(10)
    assert waiting.notified == [5]
    assert harness.timers <= 4  # two sleeps' worth of them at most, and hardly one for each of four hundred


async def test_a_deadline_that_lies_before_all_others_is_not_late() -> None:
    harness = DeadlinesHarness()
    first = harness.expect(60)
    await asyncio.sleep(1)
    second = harness.expect(2)
    await asyncio.sleep(3)
    assert (first.notified, second.notified) == ([], [2])


async def test_a_deadline_in_the_past_is_told_at_once() -> None:
    harness = DeadlinesHarness()
    message = harness.expect(-3)
    await asyncio.sleep(2 * TIMER_RESOLUTION)
    assert message.notified == [pytest.approx(TIMER_RESOLUTION)]


async def test_one_that_fails_when_told_holds_up_nobody() -> None:
    harness = DeadlinesHarness()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    broken, next_one = harness.expect(1, Broken), harness.expect(1)
    await asyncio.sleep(2)
    assert (broken.notified, next_one.notified, len(failures)) == ([1], [1], 1)


async def test_nothing_is_kept_of_what_is_done() -> None:
    harness = DeadlinesHarness()
    for _ in range(2 * MAX_CHECKS_PER_CALLBACK + 1):
        harness.expect(5).answered = True
    last = harness.expect(5)
    await asyncio.sleep(5)
    assert harness.deadlines.count > MAX_CHECKS_PER_CALLBACK  # the rest waits for the next callback
    await asyncio.sleep(3 * TIMER_RESOLUTION)
    assert harness.deadlines.count == 0
    assert last.notified == [pytest.approx(5, abs=3 * TIMER_RESOLUTION)]


class Exchange(Message):
    """Waits for one answer after another, each for so many seconds."""

    def wait_again(self, harness: DeadlinesHarness, seconds: float) -> None:
        self.answered, self.deadline = False, harness.clock.monotonic() + seconds
        harness.deadlines.add(self.deadline, self)


async def test_one_who_waits_for_one_thing_after_another_has_one_entry() -> None:
    harness = DeadlinesHarness()
    exchange = harness.expect(5, Exchange)
    assert isinstance(exchange, Exchange)
    for _ in range(400):
        exchange.answered = True
        await asyncio.sleep(0.1)
        exchange.wait_again(harness, 5)
        assert harness.deadlines.count == 1
    exchange.wait_again(harness, 4.5)  # sooner than the one before would have been
    await asyncio.sleep(3)
    exchange.answered = True
    await asyncio.sleep(10)
    assert (exchange.notified, harness.deadlines.count) == ([], 0)


@pytest.mark.parametrize(
    ("first", "after", "second", "notified"),
    [(5, 3, 5, 8), (60, 1, 2, 3)],
    ids=["later than the entry", "sooner than the entry"],
)
async def test_whatever_the_entry_was_for_the_present_deadline_is_told_once(
    first: float, after: float, second: float, notified: float
) -> None:
    harness = DeadlinesHarness()
    exchange = harness.expect(first, Exchange)
    assert isinstance(exchange, Exchange)
    await asyncio.sleep(after)
    exchange.wait_again(harness, second)
    await asyncio.sleep(100)
    assert (exchange.notified, harness.deadlines.count) == ([notified], 0)


async def test_what_is_asked_for_while_one_is_told_is_told_too() -> None:
    harness = DeadlinesHarness()

    class Persistent(Exchange):
        def overdue(self) -> None:
            super().overdue()
            if len(self.notified) < 3:
                self.deadline = self._clock.monotonic() + 2

    exchange = harness.expect(1, Persistent)
    await asyncio.sleep(20)
    assert (exchange.notified, harness.deadlines.count) == ([1, 3, 5], 0)
