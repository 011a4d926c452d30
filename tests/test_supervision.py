"""A task that a bug ends is logged, counted and restarted; one that fails repeatedly is reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog

from monitor.supervision import FAILURE_PERIOD, MAX_FAILURES, Supervision, describe
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = WITHOUT_SOCKETS


class Supervised:
    """A supervision, what it reports, and a task that fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.reported: list[tuple[float, str | None, str]] = []
        self.recovered: list[tuple[float, str | None]] = []
        self.started: list[float] = []
        self.bugs = 0
        self.supervision = Supervision(
            on_failure=self.failures.append,
            on_repeated=lambda relay, why: self.reported.append((now(), relay, why)),
            on_recovered=lambda relay: self.recovered.append((now(), relay)),
        )

    async def work(self) -> None:
        self.started.append(now())
        if self.bugs:
            self.bugs -= 1
            raise KeyError("a bug")
        await asyncio.Event().wait()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def made() -> Iterator[Supervised]:
    made = Supervised()
    yield made
    made.supervision.close()


async def test_a_task_is_restarted_with_growing_delays(made: Supervised) -> None:
    made.bugs = 8
    with structlog.testing.capture_logs() as logged:
        task = made.supervision.watch("probe", made.work, relay="a")
        await asyncio.sleep(1000)
    assert made.started == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert made.failures == ["probe"] * 8
    assert {(line["event"], line["task"], line["relay"]) for line in logged} == {
        ("task failed by a bug in this program", "probe", "a")
    }
    assert {repr(line["exc_info"]) for line in logged} == {"KeyError('a bug')"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_three_failures_in_five_minutes_are_reported_until_fewer_count(made: Supervised) -> None:
    made.bugs = MAX_FAILURES
    task = made.supervision.watch("probe", made.work, relay="a")
    await asyncio.sleep(FAILURE_PERIOD + 10)
    assert [(at, relay) for at, relay, _ in made.reported] == [(3, "a")]
    assert made.reported[0][2] == "task 'probe' fails repeatedly: KeyError: 'a bug'; see the log"
    assert made.recovered == [(FAILURE_PERIOD, "a")]
    task.cancel()


async def test_two_failures_are_not_reported(made: Supervised) -> None:
    made.bugs = MAX_FAILURES - 1
    task = made.supervision.watch("probe", made.work, relay="a")
    await asyncio.sleep(1000)
    assert (made.reported, made.recovered) == ([], [])
    task.cancel()


async def test_infrequent_failures_are_not_reported(made: Supervised) -> None:
    for _ in range(10):
        made.supervision.record("run", ValueError("a bug"), relay="a")
        await asyncio.sleep(FAILURE_PERIOD / 2)
    assert (len(made.failures), made.reported) == (10, [])


async def test_a_relay_recovers_with_the_last_of_its_tasks(made: Supervised) -> None:
    for _ in range(MAX_FAILURES):
        made.supervision.record("run", ValueError("a bug"), relay="a")
    await asyncio.sleep(100)
    for _ in range(MAX_FAILURES):
        made.supervision.record("probe", ValueError("another"), relay="a")
        made.supervision.record("schedule", ValueError("of all"))
    await asyncio.sleep(FAILURE_PERIOD + 10)
    assert [(at, relay) for at, relay, _ in made.reported] == [(0, "a"), (100, "a"), (100, None)]
    assert set(made.recovered) == {(100 + FAILURE_PERIOD, "a"), (100 + FAILURE_PERIOD, None)}
    assert len(made.recovered) == 2


async def test_a_task_that_ends_or_cancels_itself_is_a_failure(made: Supervised) -> None:
    errors: list[str] = []

    async def ends() -> None:
        errors.append("ended")

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    tasks = [made.supervision.watch("ends", ends), made.supervision.watch("cancels itself", cancels_itself)]
    await asyncio.sleep(0.5)
    assert sorted(made.failures) == ["cancels itself", "ends"]
    for task in tasks:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


async def test_a_bug_in_a_task_that_ends_is_recorded_once(made: Supervised) -> None:
    async def fails() -> int:
        raise ZeroDivisionError

    async def succeeds() -> int:
        return 7

    with pytest.raises(ZeroDivisionError):
        await made.supervision.spawn("attempt", fails(), relay="a")
    assert await made.supervision.spawn("attempt", succeeds(), relay="a") == 7
    cancelled = made.supervision.spawn("attempt", asyncio.sleep(9))
    cancelled.cancel()
    await asyncio.sleep(1)
    assert made.failures == ["attempt"]


async def test_a_removed_relay_is_forgotten(made: Supervised) -> None:
    for _ in range(MAX_FAILURES):
        made.supervision.record("run", ValueError("a bug"), relay="a")
    made.supervision.forget("a")
    made.supervision.record("run", ValueError("a bug"), relay="a")
    await asyncio.sleep(2 * FAILURE_PERIOD)
    assert (len(made.reported), made.recovered) == (1, [])


def test_an_error_of_a_task_group_is_described_by_its_first_member() -> None:
    assert describe(ExceptionGroup("of a group", [ExceptionGroup("inner", [KeyError("x")])])) == "KeyError: 'x'"
    assert describe(ValueError()) == "ValueError"
