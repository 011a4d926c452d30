from __future__ import annotations

import pytest
import typer.main

from monitor.cli import app
from monitor.config import ProbeConfig
from monitor.probes.registry import PROBES, continuous_probe
from monitor.relay.obstacles import of_deadline, of_drop, of_error
from monitor.scenarios import CONTINUOUS, KEYS, LOAD_FLAGS, SPECS, Scenario
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, ErrorCode
from monitor.wire.events import Dropped, ErrorReply

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
