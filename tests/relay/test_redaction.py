"""Secrets are taken out of what a relay says, whole, cut off, or wrapped in other words."""

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
    ("said", "shown"),
    [
        ("error 101 unauthorized", "error 101 unauthorized"),
        (f"bad token {TOKEN}!", "bad token ***!"),
        (f"{TOKEN}{TOKEN}", "******"),
        (f"bad token {TOKEN[:30]}", "bad token ***"),
        ("bad token eyJhbG", "bad token eyJhbG"),  # no more than any token of this kind begins with
        ("Bearer opaque", "***"),
        ("got opaque, long-key and in query", "got ***, *** and ***"),
        ("wrong password pass word", "wrong password ***"),
        ("flag 1", "flag 1"),
        ("", ""),
    ],
)
def test_what_was_told_is_not_said_again(said: str, shown: str) -> None:
    assert redact(said, secrets()) == shown


@pytest.mark.parametrize(
    ("query", "said", "shown"),
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
def test_a_query_is_hidden_as_it_is_sent_and_as_it_is_meant(query: str, said: str, shown: str) -> None:
    target = Target(url=f"wss://relay.example.com/x?{query}")
    assert redact(said, secrets_of(target, None, None)) == shown


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("Basic " + base64.b64encode(b"me:hunter22").decode(), "wrong password ***"),
        ("basic " + base64.b64encode(b"\xff:hunter22").decode(), "wrong password ***"),
        ("Basic hunter2", "wrong password ***2"),  # no Base64, so it stands for nothing else
        ("Basic " + base64.b64encode(b"me:hun").decode(), "wrong password hunter22"),
    ],
)
def test_the_password_that_a_header_stands_for_is_hidden_too(header: str, shown: str) -> None:
    target = Target(url="wss://relay.example.com/x", headers=(("Authorization", header),))
    assert redact("wrong password hunter22", secrets_of(target, None, None)) == shown


def test_nothing_told_is_nothing_to_hide() -> None:
    assert secrets_of(Target(url="ws://relay.example.com/x"), None, None) == ()
    assert redact("as it is", ()) == "as it is"
