"""The health check of the container, against servers without auth, with passwords, and with client certificates."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
import trustme

from monitor.healthcheck import alive
from monitor.web import WebAuth, WebServer, build_app, read_security
from tests.web.site import state

if TYPE_CHECKING:
    from starlette.types import ASGIApp

ROOT = Path(__file__).parents[1]
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    (tmp_path / "server.pem").write_bytes(made.cert_chain_pems[0].bytes())
    (tmp_path / "server.key").write_bytes(made.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


async def check(folder: Path, text: str, app: ASGIApp | None = None) -> str | None:
    """Return the result of the check against a server with this web configuration."""
    (folder / "web.yml").write_text(text)
    web_auth = WebAuth(read_security(folder / "web.yml"))
    served = WebServer(app or build_app(state(), web_auth), "127.0.0.1", 0, web_auth)
    await served.start()
    try:
        return await asyncio.to_thread(alive, f"127.0.0.1:{served.port}")
    finally:
        await served.stop()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"basic_auth_users: {{a: {bcrypt.hashpw(b'a', bcrypt.gensalt(4)).decode()}}}\n",
        TLS,
        TLS.replace("}", ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}"),
    ],
    ids=["plain", "password", "TLS", "client certificate"],
)
async def test_any_response_is_healthy(folder: Path, text: str) -> None:
    assert await check(folder, text) is None


async def test_an_internal_error_is_not_healthy(folder: Path) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("broken")

    assert await check(folder, "", broken) is not None


@pytest.mark.integration
def test_a_closed_port_is_not_healthy() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitor.healthcheck", "127.0.0.1:1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("not healthy: ")
    assert len(done.stderr.splitlines()) == 1
