"""`embedded.faults`: the text form of faults, and their documentation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.embedded import Fault, parse_fault
from monitor.embedded.faults import KINDS, FaultStep, show
from tests.relays import ROOT

ON_CHANNELS = (FaultStep.SUBSCRIBE, FaultStep.PUBLISH, FaultStep.HISTORY, FaultStep.PUSH)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("drop", Fault(kind="drop", at=FaultStep.PUSH)),
        (
            "drop:channel=session,to=wallet,probability=0.25,skip=3,count=2,after=1.5,until=9",
            Fault(
                kind="drop",
                at=FaultStep.PUSH,
                channel="session",
                to="wallet",
                probability=0.25,
                skip=3,
                count=2,
                after=1.5,
                until=9.0,
            ),
        ),
        ("silent:at=history", Fault(kind="silent", at=FaultStep.HISTORY)),
        ("close:at=publish,code=3501", Fault(kind="close", at=FaultStep.PUBLISH, code=3501)),
        ("oversize:bytes=70000", Fault(kind="oversize", at=FaultStep.HELLO, bytes=70_000)),
        ("status", Fault(kind="status", at=FaultStep.UPGRADE, code=503)),
    ],
)
def test_a_spec_is_parsed(spec: str, fault: Fault) -> None:
    assert parse_fault(spec) == fault


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("explode", "'explode' is not a kind of fault; expected one of drop, delay"),
        ("drop:at=hello", "drop does not apply at hello; expected one of push"),
        ("drop:at=heaven", "drop does not apply at 'heaven'; expected one of push"),
        ("drop:code=1", "'code=1' is not a key of drop; expected at=…, channel=…"),
        ("drop:probability", "'probability' is not a key of drop"),
        ("drop:probability=2", "probability=2 is out of range; expected 0 to 1"),
        ("drop:count=-1", "count=-1 is out of range; expected 0 or more"),
        ("drop:count=some", "count=some is not a number"),
        ("drop:count=1,count=2", "count is given twice"),
        ("drop:channel=", "channel is empty"),
        ("drop:channel=nope", "'nope' is not a channel namespace; expected one of handshake, session"),
        ("silent:channel=session", "silent cannot have channel at hello"),
        ("silent:at=tls,to=wallet", "silent cannot have to at tls"),
        ("status:channel=handshake", "status cannot have channel at upgrade"),
        ("pings:sender=dapp", "pings cannot have sender at ping"),
        ("drop:after=10,until=5", "until=5 is not later than after=10"),
        ("drop:until=0", "until=0 is not later than after=0"),
        ("delay:by=nan", "by=nan is out of range"),
        ("status:code=999", "status cannot have code=999; expected 400 to 505"),
        ("close:code=70000", "close cannot have code=70000; expected 3000 to 4999"),
    ],
)
def test_an_invalid_spec_is_rejected_with_what_is_expected(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_fault(spec)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_shown_fault_can_be_parsed_again(kind: str, data: st.DataObject) -> None:
    meaning = KINDS[kind]
    at = data.draw(st.sampled_from(meaning.steps))
    fault = Fault.make(
        kind,
        at=at,
        channel=data.draw(st.sampled_from([None, "session"] if at in ON_CHANNELS else [None])),
        probability=data.draw(st.sampled_from([1.0, 0.125])),
        count=data.draw(st.sampled_from([None, 4])),
        skip=data.draw(st.integers(0, 3)),
    )
    assert parse_fault(show(fault)) == fault


def test_every_kind_has_a_description_and_steps() -> None:
    for kind, meaning in KINDS.items():
        assert meaning.does, kind
        assert meaning.steps, kind


def test_the_documentation_lists_every_kind() -> None:
    manual = (ROOT / "docs" / "fault-injection.md").read_text("utf-8")
    for kind, meaning in KINDS.items():
        steps = ", ".join(f"`{step}`" for step in dict.fromkeys(meaning.steps))
        assert f"| `{kind}` | {steps} | {meaning.does} |" in manual
