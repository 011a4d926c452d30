"""Both event loops for every test, and certificates for tests with TLS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with ca.pem, and server.pem and server.key for 127.0.0.1."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issue(authority, tmp_path)
    return tmp_path


def issue(authority: trustme.CA, folder: Path, name: str = "server", identity: str = "127.0.0.1") -> None:
    """Write a new certificate and key into `folder`."""
    made = authority.issue_cert(identity)
    (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    (folder / f"{name}.key").write_bytes(made.private_key_pem.bytes())
