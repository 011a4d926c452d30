"""The notifications for PagerDuty and Slack that a real Alertmanager sends, and its routes beside those of other "
"teams."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse
from monitor.slo.alertmanager import alertmanager_file, route_part
from monitor.slo.receivers import SECRETS, receivers
from monitor.web.server import WebServer
from tests.e2e.programs import ALERTMANAGER, AMTOOL, Program, find
from tests.slo.rules.promtool import run
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from starlette.requests import Request

CONFIG: Final = """
install: prod
relays:
  - {name: demo, url: embedded, owner: 'Team "Wallets"'}
  - {name: stage, url: embedded}
  - {name: other, url: embedded, owner: team wallets}
probes: [{name: steady, scenario: steady-messaging}]
"""

FOREIGN: Final = """
route:
  receiver: everybody
  routes:
    - {receiver: databases, matchers: ['team="databases"']}
    - {receiver: pages, matchers: ['severity="critical"']}
inhibit_rules:
  - {source_matchers: ['alertname="ClusterDown"'], target_matchers: ['alertname="DiskFull"'], equal: [cluster]}
receivers: [{name: everybody}, {name: databases}, {name: pages}, {name: tickets}]
"""


def merged() -> dict[str, Any]:
    """Other teams' configuration with ours, as the head of the route says."""
    tree: dict[str, Any] = yaml.safe_load(FOREIGN)
    part = yaml.safe_load(route_part(parse(CONFIG, "config.yaml", {})))
    tree["route"]["routes"].insert(0, part["route"])
    tree["inhibit_rules"] += part["inhibit_rules"]
    tree["receivers"] += part["receivers"]
    return tree


@pytest.mark.required_counterpart("amtool")
class TestForeignTree:
    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            ({"alertname": "DiskFull", "severity": "critical", "team": "databases"}, "databases"),
            ({"alertname": "DiskFull", "severity": "critical", "relay": "demo"}, "pages"),
            ({"alertname": "RelayDown", "severity": "critical", "relay": "demo"}, "pages"),
            ({"alertname": "Watchdog", "severity": "none"}, "everybody"),
            ({"alertname": "DiskFull", "service": "relay-monitor", "install": "other"}, "everybody"),
            ("RelayDown", "relay-monitor-prod-pages"),
            ("RelayErrorBudgetBurn", "relay-monitor-prod-pages"),
            ("RelayMonitorAbsent", "relay-monitor-prod-pages"),
        ],
    )
    def test_each_alert_goes_to_its_own_team(self, tmp_path: Path, labels: dict[str, str] | str, receiver: str) -> None:
        if isinstance(labels, str):
            labels = {"alertname": labels, "severity": "critical", "service": "relay-monitor", "install": "prod"}
        assert self.route(tmp_path, **labels) == receiver

    @pytest.mark.parametrize(("severity", "what"), [("critical", "pages"), ("warning", "tickets")])
    def test_alerts_of_an_owner_go_to_its_receivers(self, tmp_path: Path, severity: str, what: str) -> None:
        for owner in ('Team "Wallets"', "team wallets"):
            labels = {"alertname": "RelayDown", "severity": severity, "service": "relay-monitor", "install": "prod"}
            found = self.route(tmp_path, **labels, relay="demo", owner=owner.replace('"', '\\"'))
            assert found == f"relay-monitor-prod-{what} of {owner}"

    @staticmethod
    def route(folder: Path, **labels: str) -> str:
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(merged()), encoding="utf-8")
        run(find(AMTOOL), "check-config", file)
        matchers = [f'{name}="{value}"' for name, value in labels.items()]
        return run(find(AMTOOL), "config", "routes", "test", f"--config.file={file}", *matchers).strip()


def test_no_alert_of_others_is_routed_or_inhibited_by_ours() -> None:
    part = yaml.safe_load(route_part(parse(CONFIG, "config.yaml", {})))
    own = {'service="relay-monitor"', 'install="prod"'}
    assert own <= set(part["route"]["matchers"])
    for rule in part["inhibit_rules"]:
        assert own <= set(rule["source_matchers"])
        assert own <= set(rule["target_matchers"])


def test_the_command_prints_the_route_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["generate", "--format", "route", "--config", str(file)])
    assert done.exit_code == 0
    assert done.stdout.encode() == route_part(parse(CONFIG, "config.yaml", {}))
    assert list(tmp_path.iterdir()) == [file]


def test_each_owner_has_secrets_of_its_own() -> None:
    made = list(receivers(parse(CONFIG, "config.yaml", {})))
    keys = {
        each["name"]: each["pagerduty_configs"][0]["routing_key_file"] for each in made if "pagerduty_configs" in each
    }
    assert keys == {
        "pages": f"{SECRETS}/pagerduty",
        'pages of Team "Wallets"': f"{SECRETS}/pagerduty-team-wallets",
        "pages of team wallets": f"{SECRETS}/pagerduty-team-wallets-2",
    }


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[tuple[str, list[tuple[str, dict[str, Any]]], asyncio.Event]]:
    """Run Alertmanager with the generated receivers; yields its URL, what PagerDuty and Slack received, and its "
    "event."""
    received: list[tuple[str, dict[str, Any]]] = []
    news = asyncio.Event()

    async def receive(request: Request) -> PlainTextResponse:
        received.append((request.path_params["service"], await request.json()))
        news.set()
        return PlainTextResponse("ok", status_code=202 if request.path_params["service"] == "pagerduty" else 200)

    server = WebServer(Starlette(routes=[Route("/{service}", receive, methods=["POST"])]), "127.0.0.1", 0)
    await server.start()
    text = alertmanager_file(parse(CONFIG, "config.yaml", {})).decode().replace(SECRETS, str(folder))
    config = yaml.safe_load(text) | {"global": {"pagerduty_url": f"http://127.0.0.1:{server.port}/pagerduty"}}
    for name in ("", "-team-wallets", "-team-wallets-2"):
        (folder / f"pagerduty{name}").write_text("0123456789abcdef", encoding="utf-8")
        (folder / f"slack{name}").write_text(f"http://127.0.0.1:{server.port}/slack", encoding="utf-8")
    _set_waits(config["route"])
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    url = f"http://127.0.0.1:{closed_port()}"
    program = Program(
        find(ALERTMANAGER),
        *(f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address="),
        f"--web.listen-address={url.removeprefix('http://')}",
        ready=f"{url}/-/ready",
        log=folder / "alertmanager.log",
    )
    try:
        async with program:
            yield url, received, news
    finally:
        await server.stop()


def _set_waits(route: dict[str, Any]) -> None:
    route["group_wait"] = route["group_interval"] = "1s"
    for child in route.get("routes", ()):
        _set_waits(child)


async def _until(done: Callable[[], bool], news: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        while not done():
            news.clear()
            await news.wait()


@pytest.mark.integration
@pytest.mark.timeout(90)
async def test_pagerduty_and_slack_receive_texts_and_links(tmp_path: Path) -> None:
    alert = {
        "labels": {
            "alertname": "RelayDown",
            "severity": "critical",
            "service": "relay-monitor",
            "install": "prod",
            "relay": "demo",
            "owner": 'Team "Wallets"',
        },
        "annotations": {
            "summary": "Relay demo is down: upgrade 502",
            "description": "Down since 2026-01-02 03:04:05 UTC.\nFirst: check the load balancer.",
            "page_url": "http://monitor.example.com/?relay=demo",
            "incident_url": "http://monitor.example.com/incidents?relay=demo",
            "runbook_url": "https://runbooks.example.com/RelayDown.md",
            "dashboard_url": "http://grafana.example.com/d/relay",
        },
    }
    async with alertmanager(tmp_path) as (url, received, news), httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{url}/api/v2/alerts", json=[alert])).raise_for_status()
        await _until(lambda: {service for service, _ in received} == {"pagerduty", "slack"}, news)
        page = next(body for service, body in received if service == "pagerduty")
        assert (page["event_action"], page["payload"]["severity"]) == ("trigger", "critical")
        assert page["payload"]["summary"] == "Relay demo is down: upgrade 502"
        assert page["payload"]["component"] == "demo"
        assert "First: check the load balancer." in page["payload"]["custom_details"]["alerts"]
        assert [link["href"] for link in page["links"]] == [
            alert["annotations"][name] for name in ("page_url", "runbook_url", "dashboard_url")
        ]
        (message,) = next(body for service, body in received if service == "slack")["attachments"]
        assert (message["title"], message["color"]) == ("Relay demo is down: upgrade 502", "danger")
        for name in ("page_url", "runbook_url", "dashboard_url", "incident_url"):
            assert f"<{alert['annotations'][name]}|" in message["text"]
        assert "Down since 2026-01-02 03:04:05 UTC.\nFirst: check" in message["text"]

        received.clear()
        ended = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        (await client.post(f"{url}/api/v2/alerts", json=[alert | {"endsAt": ended}])).raise_for_status()
        await _until(lambda: {service for service, _ in received} == {"pagerduty", "slack"}, news)
        resolved = next(body for service, body in received if service == "pagerduty")
        assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", page["dedup_key"])
        (message,) = next(body for service, body in received if service == "slack")["attachments"]
        assert (message["title"], message["color"]) == ("Resolved: Relay demo is down: upgrade 502", "good")
