"""Secrets are redacted from the texts of a relay: complete, cut short, or inside other words."""

from __future__ import annotations

import base64

import pytest

from monitor.relay.proxy import Proxy
from monitor.relay.redaction import redact, secrets_of
from monitor.relay.target import Target

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


def secrets() -> tuple[str, ...]:
    target = Target(
        url="wss://relay.example.com/x?key=in%20query&n=1",
        headers=(("Authorization", "Bearer opaque"), ("X-Key", "long-key"), ("X-Flag", "1")),
    )
    return secrets_of(target, TOKEN, Proxy("proxy", 80, "me", "pass word"))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("error 101 unauthorized", "error 101 unauthorized"),
        (f"bad token {TOKEN}!", "bad token ***!"),
        (f"{TOKEN}{TOKEN}", "******"),
        (f"bad token {TOKEN[:30]}", "bad token ***"),
        ("bad token eyJhbG", "bad token eyJhbG"),  # every token of this kind begins like this
        ("Bearer opaque", "***"),
        ("got opaque, long-key and in query", "got ***, *** and ***"),
        ("wrong password pass word", "wrong password ***"),
        ("flag 1", "flag 1"),
        ("", ""),
    ],
)
def test_known_secrets_are_redacted(text: str, redacted: str) -> None:
    assert redact(text, secrets()) == redacted


@pytest.mark.parametrize(
    ("query", "text", "redacted"),
    [
        ("key=ab%2Bcd%2Fef%3D%3D", "no such key=ab%2Bcd%2Fef%3D%3D", "no such ***"),
        ("key=ab%2Bcd%2Fef%3D%3D&n=1", "ab%2Bcd%2Fef%3D%3D, that is ab+cd/ef==", "***, that is ***"),
        ("n=1&key=a+b+c+d", "key a b c d, or a+b+c+d", "key ***, or ***"),
        ("key=ab==cd", "ab==cd", "***"),
        ("WITHOUT%20VALUE", "/x?WITHOUT%20VALUE: WITHOUT VALUE", "/x?***: ***"),
        ("n=1&WITHOUTVALUE=", "WITHOUTVALUE", "***"),
        ("number=1", "number 1 is not a number", "number 1 is not a number"),
        ("key=abc&tag", "key abc, tag", "key abc, tag"),
    ],
)
def test_a_query_is_redacted_in_encoded_and_decoded_form(query: str, text: str, redacted: str) -> None:
    target = Target(url=f"wss://relay.example.com/x?{query}")
    assert redact(text, secrets_of(target, None, None)) == redacted


@pytest.mark.parametrize(
    ("header", "redacted"),
    [
        ("Basic " + base64.b64encode(b"me:hunter22").decode(), "wrong password ***"),
        ("basic " + base64.b64encode(b"\xff:hunter22").decode(), "wrong password ***"),
        ("Basic hunter2", "wrong password ***2"),  # not Base64, so there is no decoded form
        ("Basic " + base64.b64encode(b"me:hun").decode(), "wrong password hunter22"),
    ],
)
def test_the_password_in_a_basic_authorization_header_is_redacted(header: str, redacted: str) -> None:
    target = Target(url="wss://relay.example.com/x", headers=(("Authorization", header),))
    assert redact("wrong password hunter22", secrets_of(target, None, None)) == redacted


def test_without_secrets_nothing_is_redacted() -> None:
    assert secrets_of(Target(url="ws://relay.example.com/x"), None, None) == ()
    assert redact("as it is", ()) == "as it is"
