"""Secrets are taken out of what a relay says, whole, cut off, or wrapped in other words."""

from __future__ import annotations

import base64

import pytest

from monitor.relay.discretion import clean, secrets_of
from monitor.relay.proxy import Proxy
from monitor.relay.target import Target

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


def secrets() -> tuple[str, ...]:
    basic = base64.b64encode(b"me:pass word").decode()
    target = Target(
        url="wss://relay.example.com/x?key=in%20query&n=1",
        headers=(("Authorization", "Bearer opaque"), ("X-Key", "long-key"), ("X-Flag", "1")),
    )
    return secrets_of(target, TOKEN, Proxy("proxy", 80, f"Basic {basic}"))


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
    assert clean(said, secrets()) == shown


def test_nothing_told_is_nothing_to_hide() -> None:
    assert secrets_of(Target(url="ws://relay.example.com/x"), None, None) == ()
    assert clean("as it is", ()) == "as it is"
