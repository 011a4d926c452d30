from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.journal.serialize import run_from_json, run_to_json
from monitor.results import Exchange, Failure, Mark, MessageFate, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step, Verdict
from tests.journal.sample import FULL, run

SECONDS = st.floats(0, 1e6, allow_nan=False)
OPTIONAL = st.none() | SECONDS
FAILURES = st.builds(Failure, step=st.sampled_from(Step), reason=st.sampled_from(Reason), detail=st.text(max_size=20))
OUTCOMES = st.sampled_from(Outcome)
RUNS = st.builds(
    Run,
    id=st.uuids().map(str),
    relay=st.text(max_size=10),
    probe=st.text(max_size=10),
    scenario=st.sampled_from(Scenario),
    started_at=st.datetimes(timezones=st.just(run(0).started_at.tzinfo)),
    duration=st.integers(0, 10**9).map(lambda micros: micros / 1e6),
    outcome=OUTCOMES,
    failure=st.none() | FAILURES,
    exchanges=st.lists(
        st.builds(
            Exchange,
            outcome=OUTCOMES,
            failure=st.none() | FAILURES,
            round_trip=OPTIONAL,
            wire_request=OPTIONAL,
            wire_response=OPTIONAL,
            recovery=OPTIONAL,
            ended=OPTIONAL,
        ),
        max_size=3,
    ).map(tuple),
    pairing=st.none() | st.builds(Pairing, outcome=OUTCOMES, seconds=OPTIONAL, failure=st.none() | FAILURES),
    timeline=st.lists(
        st.builds(
            Mark,
            side=st.text(max_size=5),
            step=st.sampled_from(Step),
            started=SECONDS,
            ended=SECONDS,
            note=st.text(),
            failed=st.booleans(),
        ),
        max_size=3,
    ).map(lambda marks: tuple(sorted(marks, key=lambda mark: (mark.started, mark.ended)))),
    messages=st.lists(
        st.builds(
            MessageFate,
            direction=st.text(max_size=5),
            sequence=st.integers(0, 1000),
            verdict=st.none() | st.sampled_from(Verdict),
            latency=OPTIONAL,
            wire=OPTIONAL,
            note=st.text(max_size=5),
            sent=OPTIONAL,
        ),
        max_size=3,
    ).map(tuple),
    pair=st.none() | st.integers(0, 100),
)


def test_a_run_is_its_fields_in_camel_case() -> None:
    assert run_to_json(FULL, omitted=3) == {
        "id": "018f2f3a-0000-7000-8000-000000000007",
        "relay": "demo",
        "probe": "steady",
        "scenario": "steady-messaging",
        "startedAt": "2024-05-01T12:07:00+00:00",
        "durationSeconds": 0.25,
        "outcome": "failed",
        "failure": {"step": "deliver", "reason": "lost", "detail": "acked, never delivered"},
        "failedAt": "2024-05-01T12:07:00.200000+00:00",
        "pair": 1,
        "pairing": {"outcome": "ok", "seconds": 0.3, "failure": None},
        "exchanges": [
            {
                "outcome": "failed",
                "failure": {"step": "deliver", "reason": "lost", "detail": "acked, never delivered"},
                "roundTripSeconds": None,
                "wireRequestSeconds": 0.01,
                "wireResponseSeconds": None,
                "recoverySeconds": None,
                "endedSeconds": 0.2,
            },
            {
                "outcome": "ok",
                "failure": None,
                "roundTripSeconds": 0.1,
                "wireRequestSeconds": 0.01,
                "wireResponseSeconds": 0.02,
                "recoverySeconds": 0.5,
                "endedSeconds": None,
            },
        ],
        "timeline": [
            {"side": "dapp", "step": "tcp", "from": 0.0, "to": 0.01, "note": "", "failed": False},
            {"side": "wallet", "step": "publish", "from": 0.1, "to": 0.12, "note": "sent <again>", "failed": True},
        ],
        "messages": [
            {
                "direction": "request",
                "sequence": 1,
                "verdict": "lost",
                "legSeconds": None,
                "wireSeconds": None,
                "note": "",
                "sentSeconds": None,
            },
            {
                "direction": "response",
                "sequence": 2,
                "verdict": None,
                "legSeconds": 0.1,
                "wireSeconds": 0.05,
                "note": "late",
                "sentSeconds": 0.1,
            },
        ],
        "omitted": 3,
    }


@given(RUNS, st.integers(0, 100))
def test_a_converted_run_is_restored(original: Run, omitted: int) -> None:
    assert run_from_json(json.loads(json.dumps(run_to_json(original, omitted)))) == (original, omitted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a JSON document."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(inner for key, value in inside for inner in paths(value, (*path, key)))]


@given(st.data())
def test_damaged_data_is_a_run_or_raises_a_known_error(data: st.DataObject) -> None:
    document = run_to_json(FULL)
    path = data.draw(st.sampled_from(paths(document)))
    damage = data.draw(JSON)
    if path:
        holder: Any = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = damage
    try:
        read, _ = run_from_json(document if path else damage)
    except (ValueError, TypeError, KeyError, OverflowError):
        return
    json.dumps(run_to_json(read), allow_nan=False)


def test_a_run_of_an_earlier_version_lacks_what_was_added_since() -> None:
    document = run_to_json(FULL)
    for kind, field in (("exchanges", "endedSeconds"), ("timeline", "failed"), ("messages", "sentSeconds")):
        for part in document[kind]:
            del part[field]
    read, _ = run_from_json(document)
    assert [item.ended for item in read.exchanges] == [None, None]
    assert [mark.failed for mark in read.timeline] == [False, False]
    assert [fate.sent for fate in read.messages] == [None, None]


@pytest.mark.parametrize("field", sorted(set(run_to_json(FULL)) - {"failedAt"}))  # that follows from others
def test_every_field_is_required(field: str) -> None:
    document = run_to_json(FULL)
    del document[field]
    with pytest.raises(KeyError):
        run_from_json(document)
