from __future__ import annotations

import ast

import pytest
import typer.main

from monitor.cli import app
from monitor.config import ProbeConfig
from monitor.errors import ErrorCode as WalletError
from monitor.errors import WalletProtocolError
from monitor.pairs.protocol_errors import of_protocol
from monitor.probes.registry import PROBES, continuous_probe
from monitor.relay.obstacles import of_deadline, of_drop, of_error
from monitor.scenarios import CONTINUOUS, KEYS, LOAD_FLAGS, SPECS, Scenario
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, ErrorCode
from monitor.wire.events import Dropped, ErrorReply
from tests.relays import ROOT

REPLIED = {Step.HELLO, Step.SUBSCRIBE, Step.HISTORY, Step.PUBLISH}
"""Steps that end with a reply."""

CONNECTING = {Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE}
"""Steps before there is a connection that could drop."""

DROP_REASONS = (None, Reason.RESET, Reason.SILENT, Reason.PROTOCOL, Reason.TOO_LARGE)


def test_every_scenario_has_a_spec() -> None:
    assert list(SPECS) == list(Scenario)


@pytest.mark.parametrize("scenario", Scenario)
def test_the_probe_of_a_spec_is_continuous_if_the_spec_is(scenario: Scenario) -> None:
    assert callable(PROBES[scenario]().run)
    if scenario in CONTINUOUS:
        assert callable(continuous_probe(scenario).serve)


def test_the_keys_of_the_specs_are_keys_of_a_probe() -> None:
    assert ProbeConfig.model_fields.keys() > KEYS
    for spec in SPECS.values():
        assert spec.bounded_keys | spec.continuous_keys <= spec.keys


def test_the_flags_of_the_specs_are_options_of_the_load_command() -> None:
    command = typer.main.get_command(app).commands["load"]  # type: ignore[attr-defined] # it is a group
    assert {parameter.name for parameter in command.params} > LOAD_FLAGS


@pytest.mark.parametrize("scenario", Scenario)
def test_every_reply_and_every_close_code_has_a_failure_label_of_its_own(scenario: Scenario) -> None:
    steps = {step for step, _ in SPECS[scenario].failure_labels}
    errors = [of_deadline(step, partially_received=partial) for step in steps & REPLIED for partial in (False, True)]
    for step in steps & REPLIED:
        errors += [of_error(step, ErrorReply(code=code, message="", temporary=False)) for code in ErrorCode]
    for step in steps - CONNECTING:
        errors += [
            of_drop(step, Dropped(at=0.0, code=code, reason="", fault=fault, reconnect_at=None))
            for code in (None, *CloseCode)
            for fault in DROP_REASONS
        ]
    relabelled = {
        (error.step.value, error.reason.value)
        for error in errors
        if SPECS[scenario].failure_label(error.step, error.reason) != (error.step, error.reason)
    }
    assert relabelled == set()


OF_SCENARIOS = {
    Step.RECOVER: [Scenario.ASYNC_DELIVERY],
    Step.HOLD: [Scenario.STEADY_STATE, Scenario.CONNECTION_STORM, Scenario.STEADY_MESSAGING],
}
"""The scenarios whose runs come to a step that not all of them have."""


def raised() -> set[tuple[Step, Reason]]:
    """Return every literal (step, reason) with which the program makes a `ProbeError`, unless it is a local one."""
    found = set()
    for path in (ROOT / "monitor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1):
                continue
            first, second = node.args[:2]
            if (
                node.func.id in {"ProbeError", "RateLimitedError"}
                and isinstance(first, ast.Attribute)
                and isinstance(second, ast.Attribute)
                and (ast.unparse(first.value), ast.unparse(second.value)) == ("Step", "Reason")
            ):
                found.add((Step[first.attr], Reason[second.attr]))
    return found


def test_every_step_and_reason_that_the_program_raises_is_declared() -> None:
    """Others were counted silently as `resolve`/`internal`."""
    pairs = raised()
    assert len(pairs) > 20
    missing = {
        (step.value, reason.value, scenario.value)
        for step, reason in pairs
        for scenario in OF_SCENARIOS.get(step, [item for item in Scenario if step in SPECS[item].failures])
        if not SPECS[scenario].declares(step, reason)
    }
    missing |= {
        (step.value, reason.value, "none")
        for step, reason in pairs
        if not any(SPECS[item].declares(step, reason) for item in Scenario)
    }
    assert missing == set()


@pytest.mark.parametrize("scenario", Scenario)
def test_the_cause_of_an_outage_is_declared_for_each_scenario(scenario: Scenario) -> None:
    """An idle connection does not subscribe, but the attempts of its relay do."""
    attempts = SPECS[Scenario.REALISTIC_SESSION].failure_labels
    for step, reason in attempts:
        assert SPECS[scenario].declares(*SPECS[scenario].nearest_failure(step, reason)), (step, reason)


@pytest.mark.parametrize("scenario", [Scenario.STEADY_MESSAGING, Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY])
def test_every_error_of_the_wallet_protocol_has_a_failure_label_of_its_own(scenario: Scenario) -> None:
    for code in WalletError:
        error = of_protocol(WalletProtocolError(code), None)
        assert SPECS[scenario].declares(error.step, error.reason), code
