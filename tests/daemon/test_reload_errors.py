"""Reloads that fail, and reloads by signal and HTTP."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.errors import StartupError
from monitor.web import WebServer, build_app
from tests.daemon.harness import Daemon, page, samples, shown, total
from tests.daemon.reloading import ONE, TWO, Running, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone


class TestErrors:
    async def test_an_invalid_configuration_changes_nothing_and_is_exported(self) -> None:
        async with running() as made:
            await made.delivers("one")
            task, config = made.task("one", "steady"), made.monitor.config
            message = await made.reload_error(ONE.replace("every: 2m", "every: 2").replace("idle,", "away,"))
            assert [line.split(": ")[0:2] for line in message.splitlines()] == [
                ["monitor.yaml:7", "probes[2].name"],
                ["monitor.yaml:7", "probes[2].schedule.every"],
            ]
            assert made.monitor.config is config
            assert made.task("one", "steady") is task
            found = page(made.monitor)
            assert total(found, "relay_monitor_config_last_reload_successful") == 0
            reloaded_at = total(found, "relay_monitor_config_last_reload_success_timestamp_seconds")
            await made.delivers("one")
            await made.reload()
            found = page(made.monitor)
            assert total(found, "relay_monitor_config_last_reload_successful") == 1
            assert total(found, "relay_monitor_config_last_reload_success_timestamp_seconds") > reloaded_at

    async def test_changes_that_need_a_restart_are_refused(self) -> None:
        async with running() as made:
            message = await made.reload_error(
                ONE.replace("location: here", "location: there\nserver: {listen: '[::1]:1'}")
            )
            assert [line.partition(" while the monitor runs")[0] for line in message.splitlines()] == [
                "the configuration: location: cannot change from here to there",
                "the configuration: server.listen: cannot change from 127.0.0.1:9464 to [::1]:1",
            ]

    async def test_if_a_relay_cannot_start_the_configuration_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running() as made:
            await made.delivers("one")
            task = made.task("one", "steady")

            async def fail(_: object) -> None:
                raise StartupError("no descriptor for another relay")

            monkeypatch.setattr("monitor.embedded.server.EmbeddedRelay.start", fail)
            assert await made.reload_error(TWO) == "no descriptor for another relay"
            assert made.task("one", "steady") is task
            assert list(made.monitor.monitored_relays.relays) == ["one"]

    async def test_an_internal_error_is_reported_and_exported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running() as made:
            await made.delivers("one")

            def fail(*_: object, **__: object) -> None:
                raise TypeError("no such attribute")

            monkeypatch.setattr(made.monitor.supervisor, "start", fail)
            message = await made.reload_error(TWO)
            assert message.startswith("internal error, TypeError: no such attribute")
            assert shown(made.monitor, "relay_monitor_config_last_reload_successful") == 0

    async def test_an_invalid_web_configuration_is_refused(self, tmp_path: Path) -> None:
        web = tmp_path / "web.yml"
        web.write_text("basic_auth_users: {}\n")
        text = f"server: {{web_config_file: {web}}}\n" + ONE
        async with running(text) as made:
            security = made.monitor.auth.security
            web.write_text("basic_auth_users: {me: hunter2}\n")
            message = await made.reload_error(text)
            assert message.startswith(f"{web}:1: basic_auth_users.me: is not a bcrypt hash")
            assert made.monitor.auth.security is security
            web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
            await made.reload()
            assert made.monitor.auth.security.config.http_server_config.headers == {"X-Frame-Options": "deny"}

    async def test_reloads_run_one_by_one_and_not_after_the_stop(self) -> None:
        async with running() as made:
            made.text = TWO
            await asyncio.gather(*(made.monitor.reload() for _ in range(5)))
            assert sorted(made.monitor.monitored_relays.relays) == ["one", "two"]
        assert "is stopping" in await made.reload_error(ONE)


class TestProcess:
    @pytest.mark.slow
    def test_sighup_and_post_reload_and_report_errors(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        text = daemon.path.read_text()
        daemon.path.write_text(text.replace("name: demo", "name: renamed"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: [relay["name"] for relay in daemon.get("/api/v1/status").json()["relays"]] == ["renamed"])
        assert "demo" not in daemon.get("/metrics").text
        daemon.path.write_text(text + "relayz: []\n")
        response = httpx.post(daemon.url + "/-/reload", timeout=10)
        assert response.status_code == 400
        assert re.search(r"monitor\.yaml:\d+: relayz: is not a key here; did you mean relays\?", response.text)
        assert total(samples(daemon.get("/metrics").text), "relay_monitor_config_last_reload_successful") == 0
        daemon.process.send_signal(signal.SIGHUP)  # logged; the daemon continues
        daemon.path.write_text(text)
        response = httpx.post(daemon.url + "/-/reload", timeout=10)
        assert (response.status_code, response.text) == (200, "reloaded\n")
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        assert daemon.process.poll() is None


async def test_reload_needs_the_password(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {me: $2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW}\n")
    made = Running(f"server: {{web_config_file: {web}}}\n" + ONE)
    served = WebServer(build_app(made.monitor.web_state(), made.monitor.auth), "127.0.0.1", 0, made.monitor.auth)
    await served.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(f"http://127.0.0.1:{served.port}/-/reload")
            assert response.status_code == 401
    finally:
        await served.stop()
