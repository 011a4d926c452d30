from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import parse
from monitor.daemon.once import RunProgress, run_once, single_run_of, timeline_lines
from monitor.results import Exchange, Failure, Mark, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.probes.harness import configure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.config import ProbeConfig
    from monitor.results import Report


def probe(scenario: str, **keys: Any) -> ProbeConfig:
    return parse(configure("ws://127.0.0.1:1/", scenario, **keys), "test", {}).probes[0]


def test_a_continuous_steady_probe_makes_one_exchange_of_one_pair() -> None:
    single = single_run_of(probe("steady-messaging", schedule="continuous", pairs="4"))
    assert (single.pairs, single.exchanges) == (1, 1)


def test_a_continuous_idle_probe_keeps_one_connection_for_its_timeout() -> None:
    single = single_run_of(probe("steady-state", schedule="continuous", connections="7", timeout="3s"))
    assert (single.connections, single.ramp_up, single.duration) == (1, 0.0, 3.0)


@pytest.mark.parametrize("scenario", ["realistic-session", "async-delivery", "connection-storm"])
def test_a_bounded_probe_is_unchanged(scenario: str) -> None:
    bounded = probe(scenario)
    assert single_run_of(bounded) == bounded


CONFIG = """
relays: [{name: one, url: embedded}, {name: two, url: embedded}]
probes:
  - {name: idle, scenario: steady-state, relays: [two, one], schedule: continuous, timeout: 1s}
  - {name: session, scenario: realistic-session, relays: [one], schedule: {every: 1h}, messages: 1, settle: 0s}
  - {name: steady, scenario: steady-messaging, relays: [two], schedule: continuous, message_interval: 100ms}
"""


async def test_each_probe_runs_once_at_each_relay_in_the_order_of_the_configuration() -> None:
    reports: list[Run | Report] = []
    runs = await run_once(parse(CONFIG, "test", {}), reports.append)
    assert [(run.probe, run.relay) for run in runs] == [
        ("idle", "two"),
        ("idle", "one"),
        ("session", "one"),
        ("steady", "two"),
    ]
    assert [(run.outcome, len(run.exchanges)) for run in runs] == [(Outcome.OK, 1)] * 4
    assert {report.id for report in reports if isinstance(report, Run)} == {run.id for run in runs}


async def test_a_secret_that_cannot_be_used_has_no_step_before_the_run(tmp_path: Path) -> None:
    """Before, the timeline began with name resolution since the start of the host, weeks long."""
    token = tmp_path / "token"
    token.write_text("two\nlines\n")
    relay = f"{{name: one, url: 'ws://127.0.0.1:1/c', token_file: {token}}}"
    probe = "{name: session, scenario: realistic-session, schedule: {every: 1h}, messages: 1}"
    (run,) = await run_once(parse(f"relays: [{relay}]\nprobes: [{probe}]\n", "test", {}), lambda _: None)
    assert (run.outcome, min(mark.started for mark in run.timeline) >= 0) == (Outcome.ABORTED, True)


async def test_steps_can_be_watched_while_they_happen() -> None:
    seen: list[tuple[str, bool, int]] = []

    async def watch(progress: Sequence[RunProgress]) -> None:
        while True:
            for each in progress:
                steps = len(each.recorder.marks) if each.recorder is not None else 0
                seen.append((f"{each.probe} at {each.relay}", each.run is not None, steps))
            await asyncio.sleep(0.01)

    await run_once(parse(CONFIG, "test", {}), lambda _: None, watch)
    assert {name for name, _, _ in seen} == {"idle at two", "idle at one", "session at one", "steady at two"}
    growing = [steps for name, done, steps in seen if name == "session at one" and not done]
    assert growing == sorted(growing)
    assert any(0 < steps < growing[-1] for steps in growing)


SUCCESSFUL = Run(
    id="0190",
    relay="demo",
    probe="session",
    scenario=Scenario.REALISTIC_SESSION,
    started_at=datetime(2024, 5, 1, tzinfo=UTC),
    duration=1.25,
    outcome=Outcome.OK,
    failure=None,
    exchanges=(Exchange(outcome=Outcome.OK, round_trip=0.0123), Exchange(outcome=Outcome.OK, recovery=0.5)),
    pairing=Pairing(outcome=Outcome.OK, seconds=0.0456),
    timeline=(
        Mark(side="wallet", step=Step.DELIVER, started=0.2, ended=0.21, note="as it was"),
        Mark(side="dapp", step=Step.TCP, started=0.001, ended=0.0025),
    ),
)


def test_steps_are_in_the_order_of_their_start() -> None:
    assert list(timeline_lines(SUCCESSFUL)) == [
        "ok  session at demo  (realistic-session, 1.25 s, run 0190)",
        "      start ms  duration  side    step",
        "           1.0       1.5  dapp    tcp",
        "         200.0      10.0  wallet  deliver  as it was",
        "    pairing 45.6 ms",
        "    round trip 12.3 ms",
        "    recovery 500.0 ms",
    ]


def test_the_failed_step_is_marked_and_a_relays_words_are_harmless() -> None:
    mark = Mark(side="wallet", step=Step.DELIVER, started=0.2, ended=0.21, note="lost: \x1b[2Jgone", failed=True)
    (row,) = list(timeline_lines(SUCCESSFUL._replace(timeline=(mark,), pairing=None, exchanges=())))[2:]
    assert row == "         200.0      10.0  wallet  deliver  FAILED  lost: �[2Jgone"


def test_a_failed_run_has_its_step_and_reason() -> None:
    failure = Failure(step=Step.DELIVER, reason=Reason.LOST, detail="acked, never delivered")
    failed = SUCCESSFUL._replace(
        outcome=Outcome.FAILED,
        failure=failure,
        exchanges=(Exchange(outcome=Outcome.FAILED, failure=failure),),
        pairing=None,
        timeline=(),
    )
    assert list(timeline_lines(failed)) == [
        "FAILED  session at demo  (realistic-session, 1.25 s, run 0190)",
        "    step deliver, reason lost: acked, never delivered",
        "      start ms  duration  side    step",
    ]
