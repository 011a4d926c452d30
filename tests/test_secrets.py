"""Secrets are not shown: every setting that takes a secret has a canary, and all output is searched for it.

The daemon, `once` and `check` run as processes with the log level `debug`, against relays and a proxy that fail in all
ways in which a secret could be quoted, and against some that send back what they received.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import secrets
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from monitor.clock import SYSTEM_CLOCK
from monitor.config import load
from monitor.daemon.once import run_once
from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from monitor.errors import ConfigError, ProbeError
from monitor.journal.packing import unpack
from monitor.relays import MonitoredRelays
from monitor.results import Run
from monitor.web.config import load_web
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from websockets.http11 import Request, Response


@dataclass
class Canaries:
    """Texts that must not be in any output, by their setting."""

    token: str = field(default_factory=lambda: f"canary-token-{secrets.token_hex(8)}")
    token_file: str = field(default_factory=lambda: f"canary-file-{secrets.token_hex(8)}")
    header: str = field(default_factory=lambda: f"canary-header-{secrets.token_hex(8)}")
    header_file: str = field(default_factory=lambda: f"canary-hfile-{secrets.token_hex(8)}")
    query: str = field(default_factory=lambda: f"canary-query-{secrets.token_hex(8)}")
    proxy: str = field(default_factory=lambda: f"canary-proxy-{secrets.token_hex(8)}")
    password: str = field(default_factory=lambda: f"canary-password-{secrets.token_hex(8)}")
    userinfo: str = field(default_factory=lambda: f"canary-userinfo-{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        self.hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()

    def all(self) -> Iterator[tuple[str, str]]:
        yield from vars(self).items()
        yield "proxy authorization", base64.b64encode(f"me:{self.proxy}".encode()).decode()
        yield "authorization", base64.b64encode(f"me:{self.password}".encode()).decode()

    def seen_in(self, text: str) -> list[str]:
        """Return the names of the canaries in `text`."""
        return [name for name, canary in self.all() if canary in text]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@asynccontextmanager
async def echoing_relay() -> AsyncIterator[str]:
    """Run a relay that sends back headers in the status of the upgrade, and the token in errors and close reasons."""

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        if "refuse" not in request.path:
            return None
        received = " ".join(f"{name}={value}" for name, value in request.headers.raw_items())
        response = connection.respond(403, received)
        response.reason_phrase = request.headers["X-Key"]
        return response

    async def handle(connection: ServerConnection) -> None:
        command = json.loads(str(await connection.recv()))
        token = command["connect"].get("token", "")
        if "close" in str(connection.request.path if connection.request else ""):
            await connection.close(3500, f"bad token {token}")
        else:
            error = {"code": 101, "message": f"bad token {token}"}
            await connection.send(json.dumps({"id": command["id"], "error": error}))
            await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, process_request=admit, ping_interval=None, close_timeout=0.5) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def echoing_proxy() -> AsyncIterator[int]:
    """Run a proxy that refuses, and sends back the credentials."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        received = next((line for line in head.splitlines() if line.startswith("Proxy-Authorization")), "nothing")
        writer.write(f"HTTP/1.1 407 {received}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@dataclass
class Setup:
    """A configuration with a canary in every setting, and its environment."""

    config: Path
    environ: dict[str, str]
    port: int
    relays: tuple[str, ...]


@asynccontextmanager
async def running_relays(canaries: Canaries, folder: Path) -> AsyncIterator[Setup]:
    (folder / "token").write_text(canaries.token_file + "\n")
    (folder / "header").write_text(canaries.header_file + "\n")
    certificate = trustme.CA().issue_cert("127.0.0.1")
    key = certificate.private_key_pem.bytes().decode()
    (folder / "server.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    canaries.key = "".join(key.splitlines()[1:2])  # type: ignore[attr-defined]
    block = "".join(f"    {line}\n" for line in key.splitlines())
    (folder / "web.yml").write_text(
        f"tls_server_config:\n  cert_file: server.pem\n  key: |\n{block}basic_auth_users:\n  me: {canaries.hashed}\n"
    )
    async with AsyncExitStack() as stack:
        urls = {
            "nobody": f"ws://127.0.0.1:{closed_port()}",
            "away": "ws://behind.invalid",
            "wrong": "wss://127.0.0.1:1",
        }
        for name, spec in (
            ("good", None), ("status", "status:at=upgrade,code=403"), ("closed", "close:at=hello,code=3500"),
            ("error", "error:at=hello,code=101"), ("denied", "error:at=subscribe,code=103"), ("junk", "junk:at=hello"),
        ):  # fmt: skip
            plan = FaultPlan([parse_fault(spec)]) if spec else None
            relay = EmbeddedRelay(plan=plan, token=canaries.token)
            await relay.start()
            stack.push_async_callback(relay.stop)
            urls[name] = relay.url.removesuffix("/connection/websocket")
        echoing = await stack.enter_async_context(echoing_relay())
        urls |= {"echo-refuse": echoing, "echo-close": echoing, "echo-error": echoing}
        tls = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        stack.callback(tls.close)
        urls["wrong"] = f"wss://127.0.0.1:{tls.sockets[0].getsockname()[1]}"
        proxy = await stack.enter_async_context(echoing_proxy())
        port = closed_port()
        config = folder / "monitor.yaml"
        config.write_text(_written(urls, port))
        others = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environ = others | {
            "CANARY_TOKEN": canaries.token,
            "CANARY_QUERY": canaries.query,
            "CANARY_HEADER": canaries.header,
            "http_proxy": f"http://me:{canaries.proxy}@127.0.0.1:{proxy}",
            "no_proxy": "127.0.0.1",
        }
        yield Setup(config, environ, port, tuple(urls))


def _written(urls: dict[str, str], port: int) -> str:
    relays = ""
    for number, (name, url) in enumerate(urls.items()):
        path = {"echo-refuse": "/refuse", "echo-close": "/close"}.get(name, "/connection/websocket")
        token = "token_file: token" if number % 2 and name != "good" else "token: ${CANARY_TOKEN}"
        relays += (
            f'  - name: {name}\n    url: "{url}{path}?key=${{CANARY_QUERY}}"\n    {token}\n'
            "    limits: {connects_per_minute: 600, messages_per_minute: 6000}\n"
            "    headers:\n      dapp: {X-Key: '${CANARY_HEADER}', Cookie: {file: header}}\n"
            "      wallet: {X-Key: {file: header}, Authorization: '${CANARY_HEADER}'}\n"
        )
    return (
        f'server: {{listen: "127.0.0.1:{port}", web_config_file: web.yml}}\nstate_dir: state\nrelays:\n{relays}'
        "probes:\n"
        "  - {name: session, scenario: realistic-session, schedule: {every: 5m}, messages: 1, timeout: 3s}\n"
        "  - {name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 2s}\n"
        "  - {name: idle, scenario: steady-state, timeout: 1s}\n"  # the duration of `once`
    )


async def output_of(setup: Setup, *arguments: str) -> str:
    """Return stdout and stderr of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", *arguments, "--config", str(setup.config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=setup.environ,
    )
    async with asyncio.timeout(60):
        return "\n".join(part.decode() for part in await process.communicate())


PATHS = (
    *("/", "/incidents", "/maintenance", "/static/style.css", "/metrics", "/-/ready"),
    *("/api/v1/status", "/api/v1/runs?limit=500", "/api/v1/incidents", "/api/v1/maintenance", "/api/v1/openapi.json"),
)


async def pages_of(setup: Setup, password: str) -> AsyncIterator[tuple[str, str]]:
    """Yield all pages of the daemon, once each relay has had a run."""
    base = f"https://127.0.0.1:{setup.port}"
    async with httpx.AsyncClient(base_url=base, auth=("me", password), verify=False, trust_env=False) as client:  # noqa: S501
        runs: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while {run["relay"] for run in runs if run["probe"] == "session"} < set(setup.relays):
                await asyncio.sleep(0.2)
                try:
                    runs = (await client.get("/api/v1/runs?limit=500")).json()["runs"]
                except httpx.TransportError:
                    continue
        for path in PATHS:
            response = await client.get(path)
            assert response.status_code == 200, path
            yield path, response.text + str(response.headers)
        for run in runs:
            for path in (f"/runs/{run['id']}", f"/api/v1/runs/{run['id']}"):
                yield path, (await client.get(path)).text
        before = setup.config.read_text()
        setup.config.write_text(before.replace("token: ${CANARY_TOKEN}", "token: [ '${CANARY_TOKEN}' ]"))
        response = await client.post("/-/reload")
        assert response.status_code == 400
        yield "a refused reload", response.text
        for text in (before.replace("token: ${CANARY_TOKEN}", "token: another"), before):  # the log says what changed
            setup.config.write_text(text)
            assert (await client.post("/-/reload")).status_code == 200
        refused = await client.get("/", auth=("me", password + "x"))
        assert refused.status_code == 401
        yield "a wrong password", refused.text


def readable(path: Path) -> str:
    """Return the content of a file; of a database, its raw bytes and its rows, with packed values unpacked."""
    texts = [path.read_bytes().decode("latin-1")]
    if not texts[0].startswith("SQLite format 3"):
        return texts[0]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for value in chain.from_iterable(database.execute(f'SELECT * FROM "{table}"')):  # noqa: S608 - its own
                texts.append(str(value))
                with suppress(ValueError, TypeError):
                    texts.append(str(unpack(value)))
    assert any("'exchanges'" in text for text in texts[1:])  # otherwise no run is covered
    return "\n".join(texts)


def files_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder, which only its owner may read."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path
            yield path.name, readable(path)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_the_daemon_shows_no_secret(canaries: Canaries, tmp_path: Path, log_format: str) -> None:
    async with running_relays(canaries, tmp_path) as made:
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "monitor", "run", "--config", str(made.config)),
                *("--log-format", log_format, "--log-level", "debug"),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=made.environ,
            )
        try:
            seen = {setting: canaries.seen_in(text) async for setting, text in pages_of(made, canaries.password)}
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    logged = (tmp_path / "log").read_text()
    assert logged.count("run failed") >= 5  # otherwise failures are not covered
    assert logged.count("configuration reloaded") == 2
    seen["log"] = canaries.seen_in(logged)
    for path, text in files_in(tmp_path / "state"):
        seen[path] = canaries.seen_in(text)
    assert {setting: names for setting, names in seen.items() if names} == {}


@pytest.mark.integration
@pytest.mark.parametrize(
    "arguments", [("check",), ("once",), ("once", "--output", "json"), ("once", "--textfile", "out.prom")]
)
async def test_commands_show_no_secret(canaries: Canaries, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    async with running_relays(canaries, tmp_path) as made:
        printed = await output_of(made, *(str(tmp_path / word) if word == "out.prom" else word for word in arguments))
    prom = tmp_path / "out.prom"
    written = prom.read_text() if "--textfile" in arguments else ""
    assert printed
    assert canaries.seen_in(printed + written) == []


INVALID = {
    "userinfo": 'relays: [{name: a, url: "wss://me:%s@relay.example.com/x"}]',
    "userinfo and no path": 'relays: [{name: a, url: "wss://me:%s@relay.example.com"}]',
    "query and fragment": 'relays: [{name: a, url: "wss://h/x?%s#y"}]',
    "query and another scheme": 'relays: [{name: a, url: "https://h/x?%s"}]',
    "endpoint": 'relays: [{name: a, url: "wss://h/x", endpoints: ["wss://me:%s@relay.example.com/x"]}]',
    "origin": 'relays: [{name: a, url: "wss://h/x", origin: "https://me:%s@relay.example.com"}]',
    "prometheus": 'prometheus: {url: "http://me:%s@prometheus.example.com"}',
    "token as a list": 'relays: [{name: a, url: "wss://h/x", token: [%s]}]',
    "token as a mapping": 'relays: [{name: a, url: "wss://h/x", token: {value: %s}}]',
    "token on two lines": 'relays: [{name: a, url: "wss://h/x", token: "%s\\n"}]',
    "token with a tag": 'relays: [{name: a, url: "wss://h/x", token: !%s x}]',
    "token like an alias": 'relays: [{name: a, url: "wss://h/x", token: *%s }]',
    "token with a dollar": 'relays: [{name: a, url: "wss://h/x", token: "%s$"}]',
    "token under another name": 'relays: [{name: a, url: "wss://h/x", tokn: %s}]',
    "token and no url": 'relays: [{name: a, token: "%s"}]',
    "header as a list": 'relays: [{name: a, url: "wss://h/x", headers: {dapp: {X-Key: [%s]}}}]',
    "header of nobody": 'relays: [{name: a, url: "wss://h/x", headers: {X-Key: %s}}]',
    "headers as text": 'relays: [{name: a, url: "wss://h/x", headers: {dapp: "X-Key %s"}}]',
    "not closed": 'relays: [{name: a, url: "wss://h/x", token: "%s}]',
}
INVALID_WEB = {
    "password": "basic_auth_users: {me: %s}",
    "password as a list": "basic_auth_users: {me: [%s]}",
    "password for a name": "basic_auth_users: %s",
    "key": "tls_server_config: {cert: '-----BEGIN CERTIFICATE-----', key: %s}",
    "key as a list": "tls_server_config: {key: [%s]}",
    "key that is none": "tls_server_config: {cert: '-----BEGIN X-----%s', key: '-----BEGIN X-----%s'}",
    "tag": "basic_auth_users: {me: !%s x}",
}


class TestErrors:
    @pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
    def test_errors_of_the_configuration_quote_no_secret(self, canaries: Canaries, tmp_path: Path, text: str) -> None:
        path = tmp_path / "monitor.yaml"
        path.write_text(text.replace("%s", canaries.token) + "\nprobes: [{name: p, scenario: steady-state}]\n")
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        error = caught.value
        assert canaries.seen_in(f"{error} {error!r} {error.problems!r} {error.__context__!r} {error.__cause__!r}") == []

    @pytest.mark.parametrize("text", INVALID_WEB.values(), ids=INVALID_WEB)
    def test_errors_of_the_web_configuration_quote_no_secret(
        self, canaries: Canaries, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "web.yml"
        path.write_text(text.replace("%s", canaries.token) + "\n")
        with pytest.raises(ConfigError) as caught:
            load_web(path)
        assert canaries.seen_in(f"{caught.value} {caught.value!r} {caught.value.problems!r}") == []


@pytest.mark.usefixtures("no_older_objects")
async def test_no_object_shows_a_secret(canaries: Canaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search `repr` and `str` of all objects of the project while probes run."""
    shown: dict[str, list[str]] = {}
    searches = iter(range(12))  # each search takes long and blocks the event loop

    def search(published: object) -> None:
        if isinstance(published, Run) and next(searches, None) is None:
            return
        for each in gc.get_objects():
            if issubclass(type(each), ProbeError):
                continue  # on its way from the socket to the client, which redacts it
            if str(type(each).__module__).startswith(("monitor.", "pydantic.")):
                for text in (repr(each), str(each)):
                    if seen := canaries.seen_in(text):
                        shown[f"{type(each).__module__}.{type(each).__qualname__}"] = seen

    async with running_relays(canaries, tmp_path) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        config = load(made.config, made.environ)
        web = load_web(tmp_path / "web.yml")
        monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, lambda *_: None)
        await run_once(config, lambda report: search(report) if isinstance(report, Run) else None)
        search((monitored_relays, web))
        dumps = f"{config.model_dump()} {config.model_dump_json()} {web.model_dump()} {web.model_dump_json()}"
    # A URL is not a secret by its type; pages and logs omit its query.
    for names in shown.values():
        names[:] = [name for name in names if name != "query"]
    assert {setting: names for setting, names in shown.items() if names} == {}
    assert set(canaries.seen_in(dumps)) <= {"query"}
