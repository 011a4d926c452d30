from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from monitor.catalogue import Outcome, Reason, Scenario, pairs_of
from tests.faults.certificates import Certificates
from tests.faults.rows import Env
from tests.faults.table import TABLE
from tests.faults.toxiproxy import toxiproxy, toxiproxy_program  # noqa: F401 - fixtures
from tests.probes.stage import stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.rows import Row
    from tests.faults.toxiproxy import Toxiproxy

ELSEWHERE = {
    Reason.UNREACHABLE: "needs a route that ends: tests/faults/test_routes.py",
    Reason.MISROUTED: "a verdict, never a cause: tests/probes/test_verdicts.py",
    Reason.REORDERED: "takes two messages on their way at once: tests/probes/test_verdicts.py",
    Reason.DUPLICATED: "takes a wallet that lets a copy through, which this one does not",
    Reason.WRONG_PEER: "takes a peer that is not ours: tests/interop",
    Reason.UNRECOVERED: "takes a subscription that asks for recovery or an error: tests/wire",
    Reason.EPOCH_CHANGED: "likewise",
    Reason.OVERLOADED: "ours: tests/test_health.py",
    Reason.INTERNAL: "ours: tests/test_app.py",
}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def env(engine_program: Path, toxiproxy: Toxiproxy, certificates: Certificates) -> Env:  # noqa: F811
    return Env(engine=engine_program, toxiproxy=toxiproxy, certificates=certificates)


@pytest.mark.required_counterpart("toxiproxy")
@pytest.mark.parametrize("row", TABLE, ids=[row.fault.replace(" ", "-") for row in TABLE])
async def test_a_fault_is_named_in_time(row: Row, env: Env) -> None:
    keys: Any = dict(row.keys)
    async with row.scene(env) as where, stage(where.url, row.scenario, relay=dict(where.relay), **keys) as made:
        async with asyncio.timeout(row.within):
            run = await made.play()
        failure = run.failure
        found = (run.outcome, failure and failure.step, failure and failure.reason)
        assert found == (row.outcome, row.step, row.reason), failure
        await made.settled()
        assert Counter(item.verdict for item in made.judged) == Counter(row.verdicts)


def test_there_are_enough_of_them_and_none_twice() -> None:
    assert len(TABLE) >= 60
    assert len({row.fault for row in TABLE}) == len(TABLE)


def test_every_reason_is_in_the_table_or_elsewhere() -> None:
    told = {row.reason for row in TABLE} - {None}
    assert {reason for reason in Reason if reason not in told} <= ELSEWHERE.keys()


def test_every_cause_in_the_table_is_one_that_metrics_know() -> None:
    for row in TABLE:
        if row.outcome is Outcome.FAILED:
            assert row.reason is not None
            assert any(reason is row.reason for _, reason in pairs_of(Scenario(row.scenario)))
