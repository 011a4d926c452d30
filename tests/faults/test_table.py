from __future__ import annotations

import ast
import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from monitor.scenarios import SPECS, Scenario
from monitor.vocabulary import Outcome, Reason
from tests.faults.certificates import Certificates
from tests.faults.rows import FOREIGN, Env
from tests.faults.table import TABLE
from tests.probes.harness import probe_at
from tests.relays import ROOT
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from tests.faults.rows import Row

OTHER_TESTS = {
    Reason.UNREACHABLE: "tests/faults/test_routes.py::"
    "test_an_unreachable_relay_fails_the_run_and_a_missing_local_route_aborts_it",
    Reason.WRONG_PEER: "tests/probes/test_bounded_runs.py::"
    "test_a_message_that_the_wallet_protocol_does_not_accept_is_named",
    Reason.OVERLOADED: "tests/probes/test_rate_limits.py::"
    "test_connects_past_the_limit_are_not_made_and_not_blamed_on_the_relay",
    Reason.INTERNAL: "tests/probes/test_local_faults.py::"
    "test_a_file_of_ours_that_cannot_be_read_is_not_blamed_on_the_relay",
}
"""Reasons whose fault no row can cause, and the test that causes it."""

VERDICTS_ONLY = {Reason.MISROUTED, Reason.DUPLICATED}
"""Reasons that fail no exchange: they occur only as verdicts, since the wallet protocol drops duplicates."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def env(row: Row, certificates: Certificates, request: pytest.FixtureRequest) -> Env:
    """Start the programs that the row needs; toxiproxy runs in front of the engine."""
    return Env(
        certificates=certificates,
        engine_program=request.getfixturevalue("engine_program") if row.counterpart in FOREIGN else None,
        running_toxiproxy=request.getfixturevalue("toxiproxy") if row.counterpart == "toxiproxy" else None,
    )


def marks(row: Row) -> list[pytest.MarkDecorator]:
    if row.is_virtual:
        return [WITH_SOCKETS]
    return [pytest.mark.required_counterpart(row.counterpart)] if row.counterpart in FOREIGN else []


ROWS = [pytest.param(row, marks=marks(row), id=row.fault.replace(" ", "-")) for row in TABLE]


@pytest.mark.parametrize("row", ROWS)
async def test_a_fault_is_reported_by_step_and_reason_in_time(row: Row, env: Env) -> None:
    keys: Any = dict(row.keys)
    async with row.setup(env) as faulty, probe_at(faulty.url, row.scenario, relay=dict(faulty.relay), **keys) as made:
        async with asyncio.timeout(row.within):
            run, _ = await asyncio.gather(made.run_once(), faulty.during_run(made))
        failure = run.failure
        found = (run.outcome, failure and failure.step, failure and failure.reason)
        assert found == (row.outcome, row.step, row.reason), failure
        failed_marks = [(mark.step, Reason(mark.note.partition(":")[0])) for mark in run.timeline if mark.failed]
        assert failed_marks[:1] == ([] if failure is None else [(failure.step, failure.reason)])
        await made.all_judged()
        assert Counter(item.verdict for item in made.judged) == Counter(row.verdicts)


def test_the_table_has_at_least_60_faults_and_no_duplicate() -> None:
    assert len(TABLE) >= 60
    assert len({row.fault for row in TABLE}) == len(TABLE)


def test_every_reason_is_in_the_table_or_has_another_test() -> None:
    reasons = {row.reason for row in TABLE} - {None}
    assert set(Reason) - reasons - VERDICTS_ONLY == OTHER_TESTS.keys()


@pytest.mark.parametrize("reason", OTHER_TESTS, ids=str)
def test_the_other_test_exists_and_asserts_the_reason(reason: Reason) -> None:
    file, _, name = OTHER_TESTS[reason].partition("::")
    text = (ROOT / file).read_text("utf-8")
    (test,) = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    )
    first = min(node.lineno for node in (test, *test.decorator_list))
    source = "\n".join(text.splitlines()[first - 1 : test.end_lineno])
    assert f"Reason.{reason.name}" in source or f'"{reason.value}"' in source


def test_every_reason_in_the_table_is_a_label_of_its_scenario() -> None:
    for row in TABLE:
        if row.outcome is Outcome.FAILED:
            assert row.reason is not None
            assert any(reason is row.reason for _, reason in SPECS[Scenario(row.scenario)].failure_labels)
