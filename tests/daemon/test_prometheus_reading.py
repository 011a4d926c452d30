"""What the view has of Prometheus, with Prometheus itself, and without one that answers."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
import yaml

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon import prometheus_reading
from monitor.daemon.prometheus_reading import PrometheusReader, Reading
from monitor.daemon.relay_views import unobserved
from monitor.vocabulary import Condition
from monitor.web import WebServer, build_app
from monitor.web.banner import banner
from monitor.web.model import LocationView, Source
from tests.daemon.harness import config, exchanged, running, until
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import Config
    from monitor.daemon.app import Monitor

RULES = {
    "groups": [
        {
            "name": "test",
            "rules": [
                {
                    "alert": "RelayIsUp",
                    "expr": "relay_up == 1",
                    "labels": {"severity": "warning"},
                    "annotations": {"summary": "Relay {{ $labels.relay }} is up"},
                }
            ],
        }
    ]
}


def of(url: str) -> Config:
    read = config(f'\nprometheus: {{url: "{url}", scrape_interval: 1s, evaluation_interval: 1s}}\n')
    return read.model_copy(update={"location": "eu"})


def failure(monitor: Monitor) -> str | None:
    return None if monitor.prometheus.reading is None else monitor.prometheus.reading.failure


def seen(**conditions: Condition) -> tuple[LocationView, ...]:
    return tuple(LocationView(location=name, condition=each) for name, each in conditions.items())


@pytest.mark.required_counterpart("prometheus")
async def test_a_real_prometheus_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_reading, "INTERVAL", 0.2)
    monkeypatch.setattr(prometheus_reading, "EVENTS_INTERVAL", 1.0)
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    async with running(of(url)) as monitor:
        web = WebServer(build_app(monitor.web_state()), "127.0.0.1", 0)
        await web.start()
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(RULES))
        targets = [{"targets": [f"127.0.0.1:{web.port}"]}]
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "relay-monitor", "static_configs": targets}],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        program = Program(
            find(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}", ready=f"{url}/-/ready", log=tmp_path / "prometheus.log",
        )  # fmt: skip
        try:
            await until(
                lambda: monitor.prometheus.reading is not None and monitor.prometheus.reading.failure is not None
            )
            before = await monitor.views.view()
            assert before.prometheus is not None
            assert before.prometheus.failure == "Connection refused"
            await program.start()

            def events() -> float:
                reading = monitor.prometheus.reading
                assert reading is not None
                found = reading.events.get(("demo", "delivery"))
                return found.good if found is not None and reading.alerts else 0.0

            await until(lambda: events() >= 1, 60)
            await asyncio.sleep(1.1)  # the view's age
            view = await monitor.views.view()
            assert view.prometheus is not None
            assert (view.prometheus.failure, view.prometheus.url) == (None, url)
            (alert,) = view.prometheus.alerts
            assert (alert.name, alert.relay, alert.location, alert.summary) == (
                "RelayIsUp",
                "demo",
                "eu",
                "Relay demo is up",
            )
            (relay,) = view.relays
            assert relay.locations == (LocationView(location="eu", condition=Condition.UP),)
            delivery = next(budget for budget in relay.budgets if budget.slo == "delivery")
            assert delivery.source is Source.PROMETHEUS
            assert delivery.left == 1
            assert 0 < delivery.span_seconds < 120
        finally:
            await program.stop()
            await web.stop()
        await until(lambda: failure(monitor) is not None)
        assert monitor.prometheus.reading is not None
        assert monitor.prometheus.reading.alerts  # the last ones
        assert exchanged(monitor, "ok") >= 1


class TestWithoutPrometheus:
    async def test_without_an_address_nothing_is_read(self) -> None:
        reader = PrometheusReader(config, SYSTEM_CLOCK)
        await reader.read()
        assert reader.reading is None

    async def test_an_old_reading_is_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"http://127.0.0.1:{closed_port()}"
        reader = PrometheusReader(lambda: of(url), SYSTEM_CLOCK)
        known = {"demo": seen(eu=Condition.UP)}
        reader.reading = Reading(url=url, at=datetime.now(UTC), conditions=known)
        reader._read_at = SYSTEM_CLOCK.monotonic()
        await reader.read()
        assert (reader.reading.failure, reader.reading.conditions) == ("Connection refused", known)
        monkeypatch.setattr(prometheus_reading, "MAX_AGE", 0.0)
        await reader.read()
        assert (reader.reading.failure, reader.reading.conditions) == ("Connection refused", {})

    async def test_another_address_begins_anew(self) -> None:
        reader = PrometheusReader(lambda: of(f"http://127.0.0.1:{closed_port()}"), SYSTEM_CLOCK)
        known = {"demo": seen(eu=Condition.UP)}
        reader.reading = Reading(url="http://before.example", at=datetime.now(UTC), conditions=known)
        await reader.read()
        assert reader.reading.conditions == {}


class _Refuses(BaseHTTPRequestHandler):
    """A Prometheus that knows alerts and conditions, and refuses to sum up the events of weeks."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        alert = {"labels": {"alertname": "RelayDown", "install": "default"}, "state": "firing"}
        self._respond(200, {"data": {"alerts": [alert]}})

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(query)
        self._respond(422 if "increase" in query else 200, {"data": {"result": []}})

    def _respond(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


async def test_alerts_are_known_without_the_events() -> None:
    """Prometheus limits the samples of a query: that of a window of 30 days may fail each time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reader = PrometheusReader(lambda: of(f"http://127.0.0.1:{server.server_port}"), SYSTEM_CLOCK)
        for _ in range(3):
            await reader.read()
        server.shutdown()
    assert reader.reading is not None
    assert [alert.name for alert in reader.reading.alerts] == ["RelayDown"]
    assert reader.reading.failure == "events of the SLOs: status 422"
    assert sum("increase" in query for query in _Refuses.asked) == 1  # a costly one is not repeated every ten seconds


class TestOtherShards:
    def test_a_relay_of_another_shard_is_what_most_locations_say(self) -> None:
        views = {
            "a": seen(eu=Condition.DOWN, us=Condition.DOWN, ap=Condition.UP),
            "b": seen(eu=Condition.UP, us=Condition.DOWN),
            "demo": (),
        }
        at = datetime.now(UTC) - timedelta(seconds=5)
        found = unobserved(Reading(url="http://x", at=at, conditions=views), {"demo"}, config(), datetime.now(UTC))
        assert [(each.name, each.condition, each.observed) for each in found] == [
            ("a", Condition.DOWN, False),
            ("b", Condition.DOWN, False),
        ]
        assert found[0].sentence == "observed by another monitor: eu down, us down, ap up"
        assert banner(found[:1], healthy=True, reasons=()).sentence == "1 of 1 relay is down: a"
