"""Relays near at hand: no proxy of this machine stands between, and every task and socket is given back."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
