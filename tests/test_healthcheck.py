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

from monitor.config import ServerConfig
from monitor.healthcheck import DEFAULT_LISTEN, alive, check, configured_address
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


async def check_server(folder: Path, text: str, app: ASGIApp | None = None) -> str | None:
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
    assert await check_server(folder, text) is None


async def test_an_internal_error_is_not_healthy(folder: Path) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("broken")

    assert await check_server(folder, "", broken) is not None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("relays: []", DEFAULT_LISTEN),
        ("", DEFAULT_LISTEN),
        ("server: {listen: '127.0.0.1:9000'}", "127.0.0.1:9000"),
        ("server: {listen: '0.0.0.0:9000'}", "127.0.0.1:9000"),
        ("server: {listen: '[::]:9000'}", "[::1]:9000"),
        ("server:\n  listen: ${LISTEN:-127.0.0.1:9464}", "10.0.0.1:9001"),
        ("server:\n  listen: ${OTHER:-127.0.0.1:9464}", "127.0.0.1:9464"),
        ("server:\n  listen: 127.0.0.1:${PORT}", "127.0.0.1:9002"),
    ],
)
def test_it_follows_the_configured_address(text: str, address: str) -> None:
    assert configured_address(text, {"LISTEN": "10.0.0.1:9001", "PORT": "9002"}) == address


def test_it_knows_the_default_address() -> None:
    assert ServerConfig().listen == DEFAULT_LISTEN


def test_it_finds_the_address_in_the_shipped_configuration() -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert configured_address(text, {}) == DEFAULT_LISTEN
    assert configured_address(text, {"RELAY_MONITOR_LISTEN": "0.0.0.0:8080"}) == "127.0.0.1:8080"


@pytest.mark.parametrize(
    "text", ["server: {listen: '127.0.0.1:0'}", "server: {listen: '${UNSET}:1'}", "server: {listen: here}", "a: [", "'"]
)
def test_a_configuration_without_a_known_address_is_not_healthy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    why = check(["--config", str(path)])
    assert why is not None
    assert why.startswith(f"{path}: ")
    assert "\n" not in why


@pytest.mark.parametrize("arguments", [["--help"], ["--config"], ["127.0.0.1:1", "127.0.0.1:2"]])
def test_wrong_usage_is_not_healthy(arguments: list[str]) -> None:
    assert (check(arguments) or "").startswith("usage: ")


def test_a_missing_configuration_is_not_healthy(tmp_path: Path) -> None:
    assert "No such file" in (check(["--config", str(tmp_path / "config.yaml")]) or "")


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
