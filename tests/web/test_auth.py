"""TLS and basic auth as the web configuration says, over real sockets on both event loops."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import bcrypt
import httpx
import pytest
import trustme
from pydantic import SecretStr

from monitor.web import WebAuth, WebServer, acceptor, auth, build_app, passwords, read_security
from tests.web.conftest import issue
from tests.web.site import state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

TLS = "tls_server_config: {cert_file: us.pem, key_file: us.key}\n"
PASSWORD = "correct horse"
PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/style.css", "/nothing")


def users(password: str = PASSWORD, name: str = "prometheus") -> str:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    return f"basic_auth_users:\n  {name}: {hashed}\n"


@asynccontextmanager
async def serving(folder: Path, text: str) -> AsyncIterator[str]:
    """A server with this web configuration; yields host and port."""
    (folder / "web.yml").write_text(text)
    let_in = WebAuth(read_security(folder / "web.yml"))
    served = WebServer(build_app(state(), let_in), "127.0.0.1", 0, let_in)
    await served.start()
    try:
        yield f"127.0.0.1:{served.port}"
    finally:
        await served.stop()


def client(folder: Path, certificate: str | None = None, **how: object) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if certificate is not None:
        context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
    return httpx.AsyncClient(verify=context, trust_env=False, timeout=10, **how)  # type: ignore[arg-type]


async def test_everything_is_served_on_tls_and_nothing_without(folder: Path) -> None:
    async with serving(folder, TLS) as where, client(folder) as http:
        for path in PATHS[:-1]:
            assert (await http.get(f"https://{where}{path}")).status_code == 200, path
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://{where}/metrics")


async def test_certificate_and_key_may_stand_in_the_file_itself(folder: Path) -> None:
    def block(name: str) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in (folder / name).read_text().splitlines())

    text = f"tls_server_config:\n  cert: {block('us.pem')}  key: {block('us.key')}"
    async with serving(folder, text) as where, client(folder) as http:
        assert (await http.get(f"https://{where}/-/healthy")).status_code == 200


async def test_a_large_page_comes_whole_over_tls(folder: Path) -> None:
    async with serving(folder, TLS) as where, client(folder) as http:
        pages = await asyncio.gather(*(http.get(f"https://{where}/metrics") for _ in range(5)))
        assert all(page.text.count("relay_probe_failures_total") > 50 for page in pages)


async def test_everything_asks_for_a_user_where_there_are_some(folder: Path) -> None:
    async with serving(folder, users()) as where, client(folder) as http:
        for path in PATHS:
            refused = await http.get(f"http://{where}{path}")
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Basic"), path
            assert refused.headers["x-content-type-options"] == "nosniff"
        assert (await http.post(f"http://{where}/-/reload")).status_code == 401
        answer = await http.get(f"http://{where}/metrics", auth=("prometheus", PASSWORD))
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Bearer cHJvbWV0aGV1czpjb3JyZWN0IGhvcnNl",
        "Basic " + base64.b64encode(b"prometheus").decode(),
        "Basic " + base64.b64encode(b"prometheus:wrong").decode(),
        "Basic " + base64.b64encode(b"nobody:correct horse").decode(),
        "Basic " + base64.b64encode(b"prometheus:correct horse\0").decode(),
        "Basic " + base64.b64encode(b"prometheus:" + b"x" * 100).decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:correct horse").decode(),
    ],
)
async def test_what_is_no_user_with_its_password_is_refused(folder: Path, authorization: str) -> None:
    async with serving(folder, users()) as where, client(folder) as http:
        for _ in range(2):  # the second answer is remembered
            refused = await http.get(f"http://{where}/", headers={"Authorization": authorization})
            assert (refused.status_code, refused.text) == (401, "Unauthorized\n")


async def test_a_long_password_counts_as_far_as_bcrypt_looks(folder: Path) -> None:
    async with serving(folder, users("x" * 72)) as where, client(folder) as http:
        answer = await http.get(f"http://{where}/", auth=("prometheus", "x" * 80))
        assert answer.status_code == 200


async def test_headers_of_the_file_stand_in_the_place_of_ours(folder: Path) -> None:
    text = """\
http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
    Content-Security-Policy: default-src 'self'
    X-XSS-Protection: ""
"""
    async with serving(folder, text + users()) as where, client(folder) as http:
        for auth in (None, ("prometheus", PASSWORD)):
            headers = (await http.get(f"http://{where}/", auth=auth)).headers
            assert headers["x-frame-options"] == "deny"
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers.get_list("content-security-policy") == ["default-src 'self'"]
            assert "x-xss-protection" not in headers
            assert headers["referrer-policy"] == "no-referrer"


async def test_requests_past_the_rate_limit_are_refused(folder: Path) -> None:
    async with serving(folder, "rate_limit: {interval: 1h, burst: 2}\n") as where, client(folder) as http:
        statuses = [(await http.get(f"http://{where}/-/healthy")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


class TestClientCertificates:
    TEXT = "tls_server_config: {cert_file: us.pem, key_file: us.key, client_ca_file: ca.pem, client_auth_type: %s}\n"

    async def test_one_that_is_required_opens(self, folder: Path, authority: trustme.CA) -> None:
        issue(authority, folder, "scraper", "scraper.example.com")
        text = self.TEXT % "RequireAndVerifyClientCert"
        async with serving(folder, text) as where:
            async with client(folder, "scraper") as http:
                assert (await http.get(f"https://{where}/metrics")).status_code == 200
            async with client(folder) as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{where}/metrics")
            issue(trustme.CA(), folder, "stranger", "scraper.example.com")
            async with client(folder, "stranger") as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{where}/metrics")

    async def test_one_that_is_welcome_is_not_required(self, folder: Path) -> None:
        async with serving(folder, self.TEXT % "VerifyClientCertIfGiven") as where, client(folder) as http:
            assert (await http.get(f"https://{where}/metrics")).status_code == 200

    async def test_its_names_may_be_limited(self, folder: Path, authority: trustme.CA) -> None:
        issue(authority, folder, "scraper", "scraper.example.com")
        issue(authority, folder, "address", "2001:db8::1")
        issue(authority, folder, "other", "other.example.com")
        text = self.TEXT % "RequireAndVerifyClientCert"
        text = text.replace("}", ', client_allowed_sans: [scraper.example.com, "2001:db8::1"]}')
        async with serving(folder, text) as where:
            for name in ("scraper", "address"):
                async with client(folder, name) as http:
                    assert (await http.get(f"https://{where}/metrics")).status_code == 200
            async with client(folder, "other") as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{where}/metrics")


class TestWhatIsSpoken:
    async def test_versions_and_ciphers_are_those_of_the_file(self, folder: Path) -> None:
        text = TLS.replace(
            "}",
            ", max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
            " TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], curve_preferences: [CurveP256]}",
        )
        async with serving(folder, text) as where:
            host, _, port = where.partition(":")
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            tls = writer.get_extra_info("ssl_object")
            assert tls.version() == "TLSv1.2"
            assert tls.cipher()[0] in {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"}
            writer.close()

    async def test_older_versions_than_the_least_are_refused(self, folder: Path) -> None:
        async with serving(folder, TLS.replace("}", ", min_version: TLS13}")) as where:
            host, _, port = where.partition(":")
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            # An alert on uvloop, a reset on asyncio's own loop.
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(host, int(port), ssl=context)


class TestChanges:
    @pytest.fixture(autouse=True)
    def _look_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auth, "CHECK_INTERVAL", 0.0)

    async def test_a_new_certificate_serves_the_next_client(self, folder: Path) -> None:
        async with serving(folder, TLS) as where:
            async with client(folder) as http:
                assert (await http.get(f"https://{where}/-/healthy")).status_code == 200
                other = trustme.CA()
                issue(other, folder)
                assert (await http.get(f"https://{where}/-/healthy")).status_code == 200  # a connection that stands
            async with client(folder) as http:
                with pytest.raises(httpx.ConnectError):
                    await http.get(f"https://{where}/-/healthy")
            other.cert_pem.write_to_path(str(folder / "ca.pem"))
            async with client(folder) as http:
                assert (await http.get(f"https://{where}/-/healthy")).status_code == 200

    async def test_users_come_and_go(self, folder: Path) -> None:
        async with serving(folder, users()) as where, client(folder) as http:

            async def status(password: str, user: str = "prometheus") -> int:
                return (await http.get(f"http://{where}/", auth=(user, password))).status_code

            assert [await status(PASSWORD), await status("new")] == [200, 401]
            (folder / "web.yml").write_text(users("new"))
            assert [await status(PASSWORD), await status("new")] == [401, 200]
            (folder / "web.yml").write_text(users("new", "grafana"))
            assert [await status("new"), await status("new", "grafana")] == [401, 200]

    async def test_tls_may_begin_and_end(self, folder: Path) -> None:
        async with serving(folder, "") as where:
            async with client(folder) as http:
                assert (await http.get(f"http://{where}/-/healthy")).status_code == 200
            (folder / "web.yml").write_text(TLS)
            async with client(folder) as http:
                assert (await http.get(f"https://{where}/-/healthy")).status_code == 200

    async def test_what_cannot_be_used_changes_nothing(self, folder: Path) -> None:
        async with serving(folder, users()) as where, client(folder) as http:
            for text in ("basic_auth_users: {a: b}\n", "not: here\n", "tls_server_config: {cert_file: gone.pem}\n"):
                (folder / "web.yml").write_text(text)
                for _ in range(2):
                    answer = await http.get(f"http://{where}/", auth=("prometheus", PASSWORD))
                    assert answer.status_code == 200
            (folder / "web.yml").unlink()
            assert (await http.get(f"http://{where}/")).status_code == 401

    async def test_a_fault_of_ours_while_it_is_read_keeps_nobody_waiting(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Path) -> None:
            raise TypeError("a fault of this program")

        async with serving(folder, users()) as where:
            monkeypatch.setattr(auth, "read_security", fail)
            for number in range(3):
                (folder / "web.yml").write_text(f"# {number}\n{users()}")
                async with client(folder) as http:
                    answer = await http.get(f"http://{where}/", auth=("prometheus", PASSWORD))
                    assert answer.status_code == 200


class TestAcceptor:
    async def test_who_cannot_be_let_in_for_a_fault_of_ours_is_hung_up_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(_: auth.WebAuth) -> None:
            raise TypeError("a fault of this program")

        async with serving(folder, users()) as where:
            monkeypatch.setattr(auth.WebAuth, "current", fail)
            host, _, port = where.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    async def test_who_never_finishes_the_handshake_is_hung_up_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(acceptor, "HANDSHAKE_TIMEOUT", 0.05)
        async with serving(folder, TLS) as where:
            host, _, port = where.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    async def test_there_is_room_for_so_many_in_it(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(acceptor, "MAX_HANDSHAKES", 1)
        async with serving(folder, TLS) as where:
            host, _, port = where.partition(":")
            _, first = await asyncio.open_connection(host, int(port))
            reader, second = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(5):
                assert await _read(reader) == b""
            first.close()
            second.close()

    async def test_who_leaves_in_it_leaves_nothing_behind(self, folder: Path) -> None:
        async with serving(folder, TLS) as where:
            host, _, port = where.partition(":")
            for words in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(words)
                await writer.drain()
                writer.close()
            async with client(folder) as http:
                assert (await http.get(f"https://{where}/-/healthy")).status_code == 200


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


class TestPasswords:
    async def test_each_is_compared_once_and_then_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = self.watch(monkeypatch)
        known = passwords.Passwords()
        hashes = self.hashes("a")
        assert [await known.check(hashes, "user", b"a") for _ in range(3)] == [True] * 3
        assert [await known.check(hashes, "user", b"b") for _ in range(3)] == [False] * 3
        assert compared == [b"a", b"b"]

    async def test_a_user_that_does_not_exist_costs_as_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = self.watch(monkeypatch)
        known = passwords.Passwords()
        assert not await known.check(self.hashes("a"), "nobody", b"a")
        assert compared == [b"a"]

    async def test_what_is_remembered_is_bounded_and_no_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
        compared = self.watch(monkeypatch)
        known, hashes = passwords.Passwords(), self.hashes("a")
        for number in range(4):
            await known.check(hashes, "user", b"a")
            await known.check(hashes, "user", b"wrong %d" % number)
        assert compared.count(b"a") == 1  # what is used stays
        assert len(known._cache) == 3
        assert not any(b"wrong" in key or key == b"a" for key in known._cache)

    async def test_too_many_at_once_are_told_to_come_back(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "MAX_PENDING", 0)
        async with serving(folder, users()) as where, client(folder) as http:
            refused = await http.get(f"http://{where}/", auth=("prometheus", PASSWORD))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")

    @staticmethod
    def hashes(password: str) -> Mapping[str, SecretStr]:
        return {"user": SecretStr(bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode())}

    @staticmethod
    def watch(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """The passwords that are compared from here on."""
        compared: list[bytes] = []
        compare = passwords._compare

        def watched(password: bytes, hashed: bytes) -> bool:
            compared.append(password)
            return compare(password, hashed)

        monkeypatch.setattr(passwords, "_compare", watched)
        return compared
