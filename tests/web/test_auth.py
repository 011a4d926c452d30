"""TLS and basic auth of the web configuration, over real sockets on both event loops."""

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

TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
PASSWORD = "correct horse"
PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/static/style.css", "/nothing")


def users(password: str = PASSWORD, name: str = "prometheus") -> str:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    return f"basic_auth_users:\n  {name}: {hashed}\n"


@asynccontextmanager
async def serving(folder: Path, text: str) -> AsyncIterator[str]:
    """Run a server with this web configuration, and yield its host and port."""
    (folder / "web.yml").write_text(text)
    web_auth = WebAuth(read_security(folder / "web.yml"))
    served = WebServer(build_app(state(), web_auth), "127.0.0.1", 0, web_auth)
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


async def test_all_pages_are_served_over_tls_only(folder: Path) -> None:
    async with serving(folder, TLS) as address, client(folder) as http:
        for path in PATHS[:-1]:
            assert (await http.get(f"https://{address}{path}")).status_code == 200, path
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://{address}/metrics")


async def test_certificate_and_key_can_be_in_the_web_configuration(folder: Path) -> None:
    def block(name: str) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in (folder / name).read_text().splitlines())

    text = f"tls_server_config:\n  cert: {block('server.pem')}  key: {block('server.key')}"
    async with serving(folder, text) as address, client(folder) as http:
        assert (await http.get(f"https://{address}/-/healthy")).status_code == 200


async def test_large_pages_are_complete_over_tls(folder: Path) -> None:
    async with serving(folder, TLS) as address, client(folder) as http:
        pages = await asyncio.gather(*(http.get(f"https://{address}/metrics") for _ in range(5)))
        assert all(page.text.count("relay_probe_failures_total") > 50 for page in pages)


async def test_all_pages_require_a_configured_user(folder: Path) -> None:
    async with serving(folder, users()) as address, client(folder) as http:
        for path in PATHS:
            refused = await http.get(f"http://{address}{path}")
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Basic"), path
            assert refused.headers["x-content-type-options"] == "nosniff"
        assert (await http.post(f"http://{address}/-/reload")).status_code == 401
        response = await http.get(f"http://{address}/metrics", auth=("prometheus", PASSWORD))
        assert response.status_code == 200


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
async def test_invalid_credentials_are_refused(folder: Path, authorization: str) -> None:
    async with serving(folder, users()) as address, client(folder) as http:
        for _ in range(2):  # the second response is from the cache
            refused = await http.get(f"http://{address}/", headers={"Authorization": authorization})
            assert (refused.status_code, refused.text) == (401, "Unauthorized\n")


async def test_a_password_counts_up_to_72_bytes(folder: Path) -> None:
    async with serving(folder, users("x" * 72)) as address, client(folder) as http:
        response = await http.get(f"http://{address}/", auth=("prometheus", "x" * 80))
        assert response.status_code == 200


async def test_configured_headers_replace_the_default_ones(folder: Path) -> None:
    text = """\
http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
    Content-Security-Policy: default-src 'self'
    X-XSS-Protection: ""
"""
    async with serving(folder, text + users()) as address, client(folder) as http:
        for auth in (None, ("prometheus", PASSWORD)):
            headers = (await http.get(f"http://{address}/", auth=auth)).headers
            assert headers["x-frame-options"] == "deny"
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers.get_list("content-security-policy") == ["default-src 'self'"]
            assert "x-xss-protection" not in headers
            assert headers["referrer-policy"] == "same-origin"


async def test_requests_above_the_rate_limit_are_refused(folder: Path) -> None:
    async with serving(folder, "rate_limit: {interval: 1h, burst: 2}\n") as address, client(folder) as http:
        statuses = [(await http.get(f"http://{address}/-/healthy")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


class TestClientCertificates:
    TEXT = TLS.replace("}", ", client_ca_file: ca.pem, client_auth_type: %s}")

    async def test_a_required_certificate_grants_access(self, folder: Path, authority: trustme.CA) -> None:
        issue(authority, folder, "scraper", "scraper.example.com")
        text = self.TEXT % "RequireAndVerifyClientCert"
        async with serving(folder, text) as address:
            async with client(folder, "scraper") as http:
                assert (await http.get(f"https://{address}/metrics")).status_code == 200
            async with client(folder) as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{address}/metrics")
            issue(trustme.CA(), folder, "untrusted", "scraper.example.com")
            async with client(folder, "untrusted") as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{address}/metrics")

    async def test_an_optional_certificate_can_be_omitted(self, folder: Path) -> None:
        async with serving(folder, self.TEXT % "VerifyClientCertIfGiven") as address, client(folder) as http:
            assert (await http.get(f"https://{address}/metrics")).status_code == 200

    async def test_the_names_of_a_certificate_can_be_restricted(self, folder: Path, authority: trustme.CA) -> None:
        issue(authority, folder, "scraper", "scraper.example.com")
        issue(authority, folder, "address", "2001:db8::1")
        issue(authority, folder, "other", "other.example.com")
        text = self.TEXT % "RequireAndVerifyClientCert"
        text = text.replace("}", ', client_allowed_sans: [scraper.example.com, "2001:db8::1"]}')
        async with serving(folder, text) as address:
            for name in ("scraper", "address"):
                async with client(folder, name) as http:
                    assert (await http.get(f"https://{address}/metrics")).status_code == 200
            async with client(folder, "other") as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"https://{address}/metrics")


class TestProtocols:
    async def test_versions_and_ciphers_are_the_configured_ones(self, folder: Path) -> None:
        text = TLS.replace(
            "}",
            ", max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
            " TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], curve_preferences: [CurveP256]}",
        )
        async with serving(folder, text) as address:
            host, _, port = address.partition(":")
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            tls = writer.get_extra_info("ssl_object")
            assert tls.version() == "TLSv1.2"
            assert tls.cipher()[0] in {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"}
            writer.close()

    async def test_versions_below_the_minimum_are_refused(self, folder: Path) -> None:
        async with serving(folder, TLS.replace("}", ", min_version: TLS13}")) as address:
            host, _, port = address.partition(":")
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            # uvloop raises an alert, asyncio a reset.
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(host, int(port), ssl=context)


class TestChanges:
    @pytest.fixture(autouse=True)
    def _check_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auth, "CHECK_INTERVAL", 0.0)

    async def test_a_new_certificate_is_used_for_the_next_client(self, folder: Path) -> None:
        async with serving(folder, TLS) as address:
            async with client(folder) as http:
                assert (await http.get(f"https://{address}/-/healthy")).status_code == 200
                other = trustme.CA()
                issue(other, folder)
                assert (await http.get(f"https://{address}/-/healthy")).status_code == 200  # on the open connection
            async with client(folder) as http:
                with pytest.raises(httpx.ConnectError):
                    await http.get(f"https://{address}/-/healthy")
            other.cert_pem.write_to_path(str(folder / "ca.pem"))
            async with client(folder) as http:
                assert (await http.get(f"https://{address}/-/healthy")).status_code == 200

    async def test_users_can_change(self, folder: Path) -> None:
        async with serving(folder, users()) as address, client(folder) as http:

            async def status(password: str, user: str = "prometheus") -> int:
                return (await http.get(f"http://{address}/", auth=(user, password))).status_code

            assert [await status(PASSWORD), await status("new")] == [200, 401]
            (folder / "web.yml").write_text(users("new"))
            assert [await status(PASSWORD), await status("new")] == [401, 200]
            (folder / "web.yml").write_text(users("new", "grafana"))
            assert [await status("new"), await status("new", "grafana")] == [401, 200]

    async def test_tls_can_be_enabled(self, folder: Path) -> None:
        async with serving(folder, "") as address:
            async with client(folder) as http:
                assert (await http.get(f"http://{address}/-/healthy")).status_code == 200
            (folder / "web.yml").write_text(TLS)
            async with client(folder) as http:
                assert (await http.get(f"https://{address}/-/healthy")).status_code == 200

    async def test_an_invalid_file_changes_nothing(self, folder: Path) -> None:
        async with serving(folder, users()) as address, client(folder) as http:
            for text in ("basic_auth_users: {a: b}\n", "not: here\n", "tls_server_config: {cert_file: gone.pem}\n"):
                (folder / "web.yml").write_text(text)
                for _ in range(2):
                    response = await http.get(f"http://{address}/", auth=("prometheus", PASSWORD))
                    assert response.status_code == 200
            (folder / "web.yml").unlink()
            assert (await http.get(f"http://{address}/")).status_code == 401

    async def test_an_internal_error_during_the_reload_affects_no_client(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Path) -> None:
            raise TypeError("internal error")

        async with serving(folder, users()) as address:
            monkeypatch.setattr(auth, "read_security", fail)
            for number in range(3):
                (folder / "web.yml").write_text(f"# {number}\n{users()}")
                async with client(folder) as http:
                    response = await http.get(f"http://{address}/", auth=("prometheus", PASSWORD))
                    assert response.status_code == 200


async def wait_for_close(address: str) -> None:
    """Connect, and wait until the server closes the connection."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


class TestAcceptor:
    async def test_an_internal_error_closes_the_connection(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail(_: auth.WebAuth) -> None:
            raise TypeError("internal error")

        async with serving(folder, users()) as address:
            monkeypatch.setattr(auth.WebAuth, "current", fail)
            await wait_for_close(address)

    async def test_an_unfinished_handshake_times_out(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(acceptor, "HANDSHAKE_TIMEOUT", 0.05)
        async with serving(folder, TLS) as address:
            await wait_for_close(address)

    async def test_concurrent_handshakes_have_a_limit(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(acceptor, "MAX_HANDSHAKES", 1)
        async with serving(folder, TLS) as address:
            host, _, port = address.partition(":")
            _, first = await asyncio.open_connection(host, int(port))
            reader, second = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(5):
                assert await _read(reader) == b""
            first.close()
            second.close()

    async def test_an_aborted_handshake_affects_no_other_client(self, folder: Path) -> None:
        async with serving(folder, TLS) as address:
            host, _, port = address.partition(":")
            for sent in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(sent)
                await writer.drain()
                writer.close()
            async with client(folder) as http:
                assert (await http.get(f"https://{address}/-/healthy")).status_code == 200


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


class TestPasswords:
    async def test_results_are_cached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = self.record(monkeypatch)
        checker = passwords.Passwords()
        hashes = self.hashes("a")
        assert [await checker.check(hashes, "user", b"a") for _ in range(3)] == [True] * 3
        assert [await checker.check(hashes, "user", b"b") for _ in range(3)] == [False] * 3
        assert compared == [b"a", b"b"]

    async def test_an_unknown_user_takes_the_same_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = self.record(monkeypatch)
        checker = passwords.Passwords()
        assert not await checker.check(self.hashes("a"), "nobody", b"a")
        assert compared == [b"a"]

    @pytest.mark.parametrize("writers_first", [False, True])
    async def test_a_cached_result_admits_nobody_who_is_not_among_the_users(self, *, writers_first: bool) -> None:
        """Two users may have the same hash, and a request for a change is checked against the writers alone."""
        (hashed,) = self.hashes("a").values()
        readers, writers = {"bob": hashed}, {"alice": hashed}
        checker = passwords.Passwords()
        for users in (writers, readers | writers, writers) if writers_first else (readers | writers, writers):
            assert await checker.check(users, "bob", b"a") is ("bob" in users)
            assert await checker.check(users, "alice", b"a")

    async def test_the_cache_is_bounded_and_has_no_passwords(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
        compared = self.record(monkeypatch)
        checker, hashes = passwords.Passwords(), self.hashes("a")
        for number in range(4):
            await checker.check(hashes, "user", b"a")
            await checker.check(hashes, "user", b"wrong %d" % number)
        assert compared.count(b"a") == 1  # used entries stay
        assert [len(cache) for cache in checker._cached.values()] == [1, 3]
        assert not any(b"wrong" in key or key == b"a" for cache in checker._cached.values() for key in cache)

    async def test_too_many_pending_checks_are_refused_with_retry_after(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(passwords, "MAX_PENDING", 0)
        async with serving(folder, users()) as address, client(folder) as http:
            refused = await http.get(f"http://{address}/", auth=("prometheus", PASSWORD))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")

    async def test_wrong_passwords_of_one_client_keep_no_other_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Prometheus was refused while somebody guessed passwords."""
        monkeypatch.setattr(passwords, "MAX_PENDING_PER_ADDRESS", 2)
        monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
        checker, hashes = passwords.Passwords(), self.hashes("a")
        assert await checker.check(hashes, "user", b"a", "192.0.2.1")
        for number in range(5):
            await checker.check(hashes, "user", b"wrong %d" % number, "192.0.2.9")
        compared = self.record(monkeypatch)
        guesses = [
            asyncio.ensure_future(checker.check(hashes, "user", b"guess %d" % number, "192.0.2.9"))
            for number in range(5)
        ]
        await asyncio.sleep(0)
        assert await checker.check(hashes, "user", b"a", "192.0.2.1")
        assert b"a" not in compared
        assert not await checker.check(hashes, "user", b"b", "192.0.2.2")  # a check is made for others
        results = await asyncio.gather(*guesses, return_exceptions=True)
        assert [type(result) for result in results] == [bool, bool, *[passwords.TooManyError] * 3]

    @staticmethod
    def hashes(password: str) -> Mapping[str, SecretStr]:
        return {"user": SecretStr(bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode())}

    @staticmethod
    def record(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """Return the list of passwords that are compared from now on."""
        compared: list[bytes] = []
        compare = passwords._compare

        def recorded(password: bytes, hashed: bytes) -> bool:
            compared.append(password)
            return compare(password, hashed)

        monkeypatch.setattr(passwords, "_compare", recorded)
        return compared
