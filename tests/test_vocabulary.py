from __future__ import annotations

import pytest

from monitor.relay.obstacles import of_deadline, of_drop, of_error
from monitor.scenarios import SPECS, Scenario
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, ErrorCode
from monitor.wire.events import Dropped, ErrorReply

ANSWERED = {Step.HELLO, Step.SUBSCRIBE, Step.HISTORY, Step.PUBLISH}
"""Steps that end with a reply."""

REACHING = {Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE}
"""Steps before there is a connection that could drop."""

FAULTS = (None, Reason.RESET, Reason.SILENT, Reason.PROTOCOL, Reason.TOO_LARGE)


@pytest.mark.parametrize("scenario", Scenario)
def test_whatever_a_relay_replies_or_closes_with_is_counted_as_what_it_is(scenario: Scenario) -> None:
    steps = {step for step, _ in SPECS[scenario].failure_labels}
    obstacles = [
        of_deadline(step, partially_received=flowing) for step in steps & ANSWERED for flowing in (False, True)
    ]
    for step in steps & ANSWERED:
        obstacles += [of_error(step, ErrorReply(code=code, message="", temporary=False)) for code in ErrorCode]
    for step in steps - REACHING:
        obstacles += [
            of_drop(step, Dropped(at=0.0, code=code, reason="", fault=fault, reconnect_at=None))
            for code in (None, *CloseCode)
            for fault in FAULTS
        ]
    renamed = {
        (found.step.value, found.reason.value)
        for found in obstacles
        if SPECS[scenario].failure_label(found.step, found.reason) != (found.step, found.reason)
    }
    assert renamed == set()
