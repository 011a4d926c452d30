"""What is published: a JSON string that holds the sender, its count, and the encrypted payload."""

from __future__ import annotations

from typing import Any, NamedTuple

from monitor.errors import ErrorCode, TransportError
from monitor.jsontext import reader

_parse = reader()


class Envelope(NamedTuple):
    """One message's wrapping. `nonce` counts from 1 for each client and channel."""

    client_id: str
    nonce: int
    payload: str


def encode(client_id: str, nonce: int, payload: str) -> str:
    """An envelope as the publication's data."""
    # By hand: an id and base64 need no escaping, and json takes five times as long for every message sent.
    return f'{{"clientId":"{client_id}","nonce":{nonce},"payload":"{payload}"}}'


def decode(data: Any) -> Envelope:
    """An envelope from a publication's data. Raises `TransportError` `TRANSPORT_PARSE_FAILED`."""
    try:
        body = _parse(data)
        client_id, nonce, payload = body["clientId"], body["nonce"], body["payload"]
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise TransportError(ErrorCode.TRANSPORT_PARSE_FAILED, f"not an envelope: {type(error).__name__}") from None
    if type(client_id) is not str or type(nonce) is not int or type(payload) is not str:
        raise TransportError(ErrorCode.TRANSPORT_PARSE_FAILED, "not an envelope: a field has the wrong type")
    return Envelope(client_id, nonce, payload)
