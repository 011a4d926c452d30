"""`session.envelope`, `messages` and `request`: encoding, decoding, and rejection of invalid input."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import ErrorCode, SessionError, TransportError
from monitor.session import envelope, messages
from monitor.session.crypto import Ecies
from monitor.session.envelope import Envelope
from monitor.session.request import SessionRequest

UUID = "00000000-0000-4000-8000-000000000001"
KEY = Ecies().generate().public_key
REQUEST = SessionRequest(
    id=UUID, mode="trusted", channel=f"handshake:{UUID}", public_key=KEY, expires_at_ms=1_700_000_060_000
)


@given(st.uuids(), st.integers(1, 10**9), st.binary())
def test_an_envelope_is_encoded_and_decoded(client: Any, nonce: int, payload: bytes) -> None:
    sent_envelope = Envelope(str(client), nonce, base64.b64encode(payload).decode())
    text = envelope.encode(*sent_envelope)
    assert envelope.decode(text) == sent_envelope
    assert json.loads(text) == {"clientId": sent_envelope.client_id, "nonce": nonce, "payload": sent_envelope.payload}


@pytest.mark.parametrize(
    "data",
    [None, 5, {}, [], "", "x", "[]", "{}", "null", '{"clientId":1,"nonce":1,"payload":""}', "[" * 100_000,
     '{"clientId":"a","nonce":true,"payload":""}', '{"clientId":"a","nonce":1.5,"payload":""}',
     '{"clientId":"a","nonce":1,"payload":{}}', '{"clientId":"a","nonce":1}'],
)  # fmt: skip
def test_an_invalid_envelope_is_a_parse_error(data: Any) -> None:
    with pytest.raises(TransportError) as caught:
        envelope.decode(data)
    assert caught.value.code is ErrorCode.TRANSPORT_PARSE_FAILED


@pytest.mark.parametrize(
    "message",
    [
        messages.Ack(),
        messages.AppMessage({"id": "é", "n": [1, None, 1.5]}),
        messages.AppMessage(None),
        messages.Offer(public_key=KEY, channel_id=UUID),
        messages.Offer(public_key=KEY, channel_id=UUID, otp="012345", deadline_ms=1_700_000_000_000),
    ],
)
def test_a_message_is_encoded_and_decoded(message: messages.Message) -> None:
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize(
    "text",
    ["", "5", "[]", "{}", '{"type":"other"}', '{"type":"message"}', '{"type":"handshake-offer","payload":{}}',
     json.dumps({"type": "handshake-offer", "payload": {"publicKeyB64": "!", "channelId": UUID}}),
     json.dumps({"type": "handshake-offer", "payload": {"publicKeyB64": "", "channelId": "x"}}),
     json.dumps({"type": "handshake-offer", "payload": {"publicKeyB64": "", "channelId": UUID, "otp": "12"}})],
)  # fmt: skip
def test_an_invalid_message_is_rejected(text: str) -> None:
    with pytest.raises(SessionError):
        messages.decode(text)


def test_an_otp_is_in_no_repr() -> None:
    assert "012345" not in repr(messages.Offer(public_key=KEY, channel_id=UUID, otp="012345"))


def test_a_session_request_has_the_json_form_of_the_protocol() -> None:
    assert REQUEST.to_json() == {
        "id": UUID,
        "mode": "trusted",
        "channel": f"handshake:{UUID}",
        "publicKeyB64": base64.b64encode(KEY).decode(),
        "expiresAt": 1_700_000_060_000,
    }


@given(st.none() | st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_session_request_is_encoded_in_a_link_and_decoded(initial: Any) -> None:
    request = SessionRequest(
        id=UUID, mode="untrusted", channel=f"handshake:{UUID}", public_key=KEY, expires_at_ms=5, initial_message=initial
    )
    assert SessionRequest.from_link(request.to_link()) == request


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "x"}, "id"),
        ({"mode": "other"}, "mode"),
        ({"channel": "handshake:x"}, "channel"),
        ({"publicKeyB64": "!"}, "publicKeyB64"),
        ({"publicKeyB64": None}, "publicKeyB64"),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"expiresAt": True}, "expiresAt"),
        ({"expiresAt": float("inf")}, "expiresAt"),
        ({"expiresAt": float("nan")}, "expiresAt"),
        ({"mode": []}, "mode"),
        ({"initialMessage": {"type": "other"}}, "initialMessage"),
    ],
)
def test_an_invalid_session_request_is_rejected_with_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SessionError, match=field):
        SessionRequest.from_json(REQUEST.to_json() | change)


@pytest.mark.parametrize(
    "link", ["", "https://example.com", "metamask://connect/mwp?p=x", "metamask://connect/mwp?p=" + "x" * 20_000]
)
def test_an_invalid_link_is_rejected(link: str) -> None:
    with pytest.raises(SessionError, match="not a session request"):
        SessionRequest.from_link(link)
