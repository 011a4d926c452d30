"""Who may change something: a user of `basic_auth_write_users`, or without any a client on this host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import bcrypt
import httpx
import pytest

from monitor.errors import ConfigError
from monitor.web import WebAuth, build_app, read_security
from tests.web.site import state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

READER, WRITER = ("prometheus", "read it"), ("on-call", "change it")


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def web_config(folder: Path, *keys: str) -> WebAuth:
    users = {"basic_auth_users": READER, "basic_auth_write_users": WRITER}
    path = folder / "web.yml"
    path.write_text("".join(f"{key}: {{{users[key][0]}: '{hashed(users[key][1])}'}}\n" for key in keys))
    return WebAuth(read_security(path))


async def reload() -> None:
    pass


async def request(
    method: str,
    path: str,
    security: WebAuth | None = None,
    *,
    peer: str = "127.0.0.1",
    host: str = "127.0.0.1:9464",
    version: str = "1.1",
    headers: Mapping[str, str] | None = None,
    user: tuple[str, str] | None = None,
) -> httpx.Response:
    """Send a request as a client at `peer`, in a version of HTTP."""
    built = build_app(state(reload=reload), security)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await built({**scope, "http_version": version}, receive, send)

    transport = httpx.ASGITransport(app, client=(peer, 40_000))
    basic = None if user is None else httpx.BasicAuth(*user)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}", auth=basic) as web:
        return await web.request(method, path, headers=headers)


post = partial(request, "POST", "/-/reload")
read = partial(request, "GET", "/-/ready")


class TestThisHost:
    @pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
    async def test_a_client_on_this_host_may_write(self, peer: str) -> None:
        assert (await post(peer=peer)).status_code == 200

    @pytest.mark.parametrize("peer", ["10.0.0.7", "2001:db8::1", "::ffff:10.0.0.7", "not an address"])
    async def test_another_host_may_not(self, peer: str) -> None:
        response = await post(peer=peer)
        assert response.status_code == 403
        assert "basic_auth_write_users" in response.text

    @pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via"])
    async def test_a_proxy_on_this_host_forwards_for_others(self, header: str) -> None:
        assert (await post(headers={header: "for=10.0.0.7"})).status_code == 403

    @pytest.mark.parametrize("host", ["127.0.0.1:9464", "[::1]:9464", "localhost", "LOCALHOST:9464"])
    async def test_this_host_has_several_names(self, host: str) -> None:
        assert (await post(headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize("host", ["monitor.example", "10.0.0.1:9464", "[", ""])
    async def test_a_proxy_without_such_a_header_passes_on_the_name_that_its_client_used(self, host: str) -> None:
        assert (await post(headers={"Host": host})).status_code == 403

    async def test_a_proxy_without_such_a_header_and_name_speaks_an_old_version(self) -> None:
        """As `proxy_pass` of nginx does by default."""
        assert (await post(version="1.0")).status_code == 403

    async def test_a_page_whose_name_resolves_to_this_host_may_not(self) -> None:
        page = {"Origin": "http://other.example:9464"}
        assert (await post(host="other.example:9464", headers=page)).status_code == 403
        own = {"Origin": "http://localhost:9464", "Sec-Fetch-Site": "same-origin"}
        assert (await post(host="localhost:9464", headers=own)).status_code == 200

    async def test_without_a_user_who_may_write_one_who_reads_writes_from_this_host_only(self, tmp_path: Path) -> None:
        auth = web_config(tmp_path, "basic_auth_users")
        assert (await post(auth, user=READER)).status_code == 200
        assert (await post(auth, user=READER, peer="10.0.0.7")).status_code == 403
        assert (await post(auth)).status_code == 401


class TestUsers:
    async def test_a_user_who_may_write_does_so_from_everywhere(self, tmp_path: Path) -> None:
        auth = web_config(tmp_path, "basic_auth_users", "basic_auth_write_users")
        assert (await post(auth, user=WRITER, peer="10.0.0.7")).status_code == 200

    @pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.7"])
    @pytest.mark.parametrize("user", [None, READER, ("on-call", "wrong")])
    async def test_nobody_else_does_not_even_from_this_host(
        self, tmp_path: Path, peer: str, user: tuple[str, str] | None
    ) -> None:
        auth = web_config(tmp_path, "basic_auth_users", "basic_auth_write_users")
        response = await post(auth, peer=peer, user=user)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Basic")

    async def test_a_user_who_may_write_may_read(self, tmp_path: Path) -> None:
        auth = web_config(tmp_path, "basic_auth_users", "basic_auth_write_users")
        for user, code in ((WRITER, 200), (READER, 200), (None, 401)):
            assert (await read(auth, user=user, peer="10.0.0.7")).status_code == code

    async def test_reading_stays_open_if_only_writing_needs_a_password(self, tmp_path: Path) -> None:
        auth = web_config(tmp_path, "basic_auth_write_users")
        assert (await read(auth, peer="10.0.0.7")).status_code == 200
        assert (await post(auth, peer="10.0.0.7")).status_code == 401

    def test_a_user_is_in_one_of_the_two_lists(self, tmp_path: Path) -> None:
        path = tmp_path / "web.yml"
        path.write_text("".join(f"basic_auth_{kind}users: {{a: '{hashed('x')}'}}\n" for kind in ("", "write_")))
        with pytest.raises(ConfigError, match="expected it in one of the two"):
            read_security(path)


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://monitor.example"},
            {"Origin": "http://other.example"},
            {"Origin": "http://monitor.example:8080"},
            {"Origin": "null"},
        ],
    )
    async def test_a_page_of_another_site_may_not_even_with_a_password(
        self, tmp_path: Path, headers: dict[str, str]
    ) -> None:
        auth = web_config(tmp_path, "basic_auth_write_users")
        response = await post(auth, user=WRITER, headers=headers)
        assert (response.status_code, "cross-site" in response.text) == (403, True)

    async def test_a_page_of_the_monitor_may(self, tmp_path: Path) -> None:
        auth = web_config(tmp_path, "basic_auth_write_users")
        for headers in ({"Origin": "http://127.0.0.1:9464"}, {"Sec-Fetch-Site": "same-origin"}):
            assert (await post(auth, user=WRITER, headers=headers)).status_code == 200
