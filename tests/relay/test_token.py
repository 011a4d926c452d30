"""The life of a connection token, and whose fault its refusal is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from monitor.errors import ProbeError, SettingsError
from monitor.relay import obstacles
from monitor.relay.token import TokenLife, token_life
from monitor.vocabulary import Reason, Step


def token(claims: Any) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"e30.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.c2ln"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token({"exp": 1_800_000_000, "iat": 1_700_000_000}), TokenLife(expires=1.8e9, issued=1.7e9)),
        (token({"exp": 1_800_000_000.5}), TokenLife(expires=1_800_000_000.5)),
        (token({"sub": "monitor"}), TokenLife()),
        (token({"exp": "tomorrow", "iat": True}), TokenLife()),
        (token({"exp": 1e400}), TokenLife()),
        (token({"exp": -5}), TokenLife()),
        (token(b'{"exp": ' + b"9" * 500 + b"}"), TokenLife()),
        (token(b'{"exp": NaN}'), TokenLife()),
        (token([1]), TokenLife()),
        (token(b"[" * 100_000), TokenLife()),
        (token(b"\xff\xfe"), TokenLife()),
        ("an.opaque token", TokenLife()),
        ("a.!.c", TokenLife()),
        ("a.é.c", TokenLife()),
        ("", TokenLife()),
        (None, TokenLife()),
    ],
)
def test_the_life_of_a_token_is_read_without_verification(text: str | None, expected: TokenLife) -> None:
    assert token_life(text) == expected


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.UNAUTHORIZED])
@pytest.mark.parametrize(("left", "own"), [(-3600.0, True), (0.0, True), (3600.0, False)])
def test_a_refused_token_is_the_monitors_fault_after_its_expiry_and_the_relays_before(
    reason: Reason, left: float, *, own: bool
) -> None:
    error = ProbeError(Step.HELLO, reason, "error 109 token expired", status=109)
    judged = obstacles.of_own_token(error, TokenLife(expires=1.8e9), 1.8e9 - left)
    assert isinstance(judged, SettingsError) is own
    if own:
        assert (judged.step, judged.reason, judged.status) == (Step.HELLO, Reason.EXPIRED, "109")
        assert judged.detail == (
            "this monitor's token expired at 2027-01-15T08:00:00+00:00; renew token or token_file "
            "(error 109 token expired)"
        )


def test_a_token_without_an_expiry_and_other_failures_are_the_relays() -> None:
    refused = ProbeError(Step.HELLO, Reason.UNAUTHORIZED)
    assert obstacles.of_own_token(refused, TokenLife(), 1e12) is refused
    denied = ProbeError(Step.SUBSCRIBE, Reason.DENIED)
    assert obstacles.of_own_token(denied, TokenLife(expires=1.0), 1e12) is denied
    silent = ProbeError(Step.HELLO, Reason.SILENT)
    assert obstacles.of_own_token(silent, TokenLife(expires=1.0), 1e12) is silent
