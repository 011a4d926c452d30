"""Deadlines: each is reported once and in time, and one timer serves all."""

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
        self.replied = False
        self.deadline = deadline
        self.notified: list[float] = []
        self._clock = clock
        self._began = clock.monotonic()

    def due(self) -> float | None:
        return None if self.replied else self.deadline

    def overdue(self) -> None:
        self.notified.append(self._clock.monotonic() - self._began)


class Broken(Message):
    def overdue(self) -> None:
        super().overdue()
        raise RuntimeError("internal error")


class DeadlinesHarness:
    """Deadlines, and the number of timers that were set."""

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

    def wait_for(self, seconds: float, kind: type[Message] = Message) -> Message:
        message = kind(self.clock, self.clock.monotonic() + seconds)
        self.deadlines.add(message.deadline, message)
        return message


async def test_a_missed_deadline_is_reported_in_time() -> None:
    harness = DeadlinesHarness()
    second, third, first = harness.wait_for(5), harness.wait_for(7), harness.wait_for(1)
    await asyncio.sleep(10)
    assert [message.notified for message in (first, second, third)] == [[1], [5], [7]]


async def test_a_deadline_that_was_met_is_not_reported() -> None:
    harness = DeadlinesHarness()
    replied, overdue = harness.wait_for(5), harness.wait_for(6)
    replied.replied = True
    await asyncio.sleep(10)
    assert (replied.notified, overdue.notified) == ([], [6])


async def test_deadlines_that_are_met_share_a_timer() -> None:
    harness = DeadlinesHarness()
    for _ in range(400):
        message = harness.wait_for(5)
        await asyncio.sleep(0.01)
        message.replied = True
    harness.timers = 0
    waiting = harness.wait_for(5)
    await asyncio.sleep(10)
    assert waiting.notified == [5]
    assert harness.timers <= 4  # at most those of two sleeps, not one for each of four hundred


async def test_an_earlier_deadline_added_later_is_reported_in_time() -> None:
    harness = DeadlinesHarness()
    first = harness.wait_for(60)
    await asyncio.sleep(1)
    second = harness.wait_for(2)
    await asyncio.sleep(3)
    assert (first.notified, second.notified) == ([], [2])


async def test_a_deadline_in_the_past_is_reported_at_once() -> None:
    harness = DeadlinesHarness()
    message = harness.wait_for(-3)
    await asyncio.sleep(2 * TIMER_RESOLUTION)
    assert message.notified == [pytest.approx(TIMER_RESOLUTION)]


async def test_an_exception_in_overdue_does_not_affect_others() -> None:
    harness = DeadlinesHarness()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    broken, next_one = harness.wait_for(1, Broken), harness.wait_for(1)
    await asyncio.sleep(2)
    assert (broken.notified, next_one.notified, len(failures)) == ([1], [1], 1)


async def test_entries_that_are_done_are_removed() -> None:
    harness = DeadlinesHarness()
    for _ in range(2 * MAX_CHECKS_PER_CALLBACK + 1):
        harness.wait_for(5).replied = True
    last = harness.wait_for(5)
    await asyncio.sleep(5)
    assert harness.deadlines.count > MAX_CHECKS_PER_CALLBACK  # the others wait for the next callback
    await asyncio.sleep(3 * TIMER_RESOLUTION)
    assert harness.deadlines.count == 0
    assert last.notified == [pytest.approx(5, abs=3 * TIMER_RESOLUTION)]


class Exchange(Message):
    """Waits for replies one after another."""

    def wait_again(self, harness: DeadlinesHarness, seconds: float) -> None:
        self.replied, self.deadline = False, harness.clock.monotonic() + seconds
        harness.deadlines.add(self.deadline, self)


async def test_successive_deadlines_of_one_object_are_one_entry() -> None:
    harness = DeadlinesHarness()
    exchange = harness.wait_for(5, Exchange)
    assert isinstance(exchange, Exchange)
    for _ in range(400):
        exchange.replied = True
        await asyncio.sleep(0.1)
        exchange.wait_again(harness, 5)
        assert harness.deadlines.count == 1
    exchange.wait_again(harness, 4.5)  # earlier than the previous one
    await asyncio.sleep(3)
    exchange.replied = True
    await asyncio.sleep(10)
    assert (exchange.notified, harness.deadlines.count) == ([], 0)


@pytest.mark.parametrize(
    ("first", "after", "second", "notified"),
    [(5, 3, 5, 8), (60, 1, 2, 3)],
    ids=["later than the entry", "earlier than the entry"],
)
async def test_the_current_deadline_is_reported_once(
    first: float, after: float, second: float, notified: float
) -> None:
    harness = DeadlinesHarness()
    exchange = harness.wait_for(first, Exchange)
    assert isinstance(exchange, Exchange)
    await asyncio.sleep(after)
    exchange.wait_again(harness, second)
    await asyncio.sleep(100)
    assert (exchange.notified, harness.deadlines.count) == ([notified], 0)


async def test_a_deadline_set_in_overdue_is_reported() -> None:
    harness = DeadlinesHarness()

    class Repeated(Exchange):
        def overdue(self) -> None:
            super().overdue()
            if len(self.notified) < 3:
                self.deadline = self._clock.monotonic() + 2

    exchange = harness.wait_for(1, Repeated)
    await asyncio.sleep(20)
    assert (exchange.notified, harness.deadlines.count) == ([1, 3, 5], 0)
