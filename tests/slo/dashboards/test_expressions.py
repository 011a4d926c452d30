"""Every expression of every panel, variable and annotation, queried from a real Prometheus that scrapes a real monitor.

While nothing fails each has data or a reason to be empty; the empty ones have data during or after an outage. After the
monitor has stopped, the states show no data.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from monitor.config import load
from monitor.slo.dashboards import centrifugo, connections, dashboards, failures, files
from monitor.slo.dashboards.alert_panels import NO_MONITOR_ALERT
from monitor.slo.dashboards.annotations import (
    NO_CRITICAL_MONITOR_ALERT,
    NO_DEPLOY,
    NO_MAINTENANCE,
    NO_MONITOR_DEPLOY,
    NO_RELOAD,
)
from monitor.slo.dashboards.detail import MONITOR_HEALTHY
from monitor.slo.dashboards.health import ALL_COUNT, ALL_HEALTHY
from monitor.slo.dashboards.promql import MONITOR, select, worst_state
from monitor.slo.dashboards.relay_table import NO_TLS
from monitor.slo.dashboards.resources import NO_TASK_FAILURE
from monitor.slo.dashboards.shared_panels import FAR_FROM_THRESHOLD
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.relays import BUILD_TIMEOUT, ENGINE, ROOT, Engine
from tests.slo.dashboards.linter import panels
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

RANGE = 60.0
"""Seconds of data that the expressions are queries over."""

RESULT_TIMEOUT = 90.0
"""Seconds after which an expression without data fails."""

CONFIG = """
server: {{listen: "{listen}"}}
relays:
  - name: demo
    url: {relay}
    centrifugo_selector: job="centrifugo"
    limits: {{connects_per_minute: 600, messages_per_minute: 6000}}
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 2, message_interval: 500ms, settle: 200ms, timeout: 2s}}
  - {{name: idle, scenario: steady-state, connections: 2}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 8s}}, delay: 500ms, timeout: 2s}}
  - {{name: session, scenario: realistic-session, schedule: {{every: 8s}}, messages: 1, timeout: 2s}}
slos:
  - {{name: round-trip, probe: steady, sli: latency, threshold: 400ms, objective: 99%, window: 30d}}
  - {{name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}}
  - {{name: stability, probe: [steady, idle], sli: stability, objective: 99%, window: 30d}}
prometheus: {{scrape_interval: 1s, evaluation_interval: 1s}}
"""

NEVER_HERE = {
    centrifugo.NO_DISCONNECT,
    centrifugo.NO_ERROR,
    centrifugo.NO_REDIS_ERROR,
    centrifugo.SINGLE_NODE,
    connections.ON_TIME,
    failures.NO_ENDPOINT_FAILURE,
    failures.NO_MESSAGE_ERROR,
    ALL_HEALTHY,
    MONITOR_HEALTHY,
    ALL_COUNT,
    NO_TASK_FAILURE,
    NO_MONITOR_ALERT,
    NO_CRITICAL_MONITOR_ALERT,
    NO_DEPLOY,
    NO_MAINTENANCE,
    NO_MONITOR_DEPLOY,
    NO_RELOAD,
    NO_TLS,
    FAR_FROM_THRESHOLD,
}
"""Reasons that an outage of a single node without Redis does not end."""

STATES = ("relay_up", "relay_probe_up", "relay_monitor_healthy")


@dataclass(frozen=True, slots=True)
class Question:
    """One expression, its panel, and why it may have no data."""

    where: str
    expr: str
    empty_reason: str = ""
    exemplars: bool = False


@dataclass(slots=True)
class StackUnderTest:
    """The running programs, and Prometheus' address."""

    address: str
    config: Path
    start_relay: Callable[[], Awaitable[None]]
    kill_relay: Callable[[], Awaitable[None]]
    monitor: Program
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=30))

    async def get(self, path: str, **parameters: str) -> Any:
        response = await self.client.get(f"{self.address}/api/v1/{path}", params=parameters)
        assert response.status_code == httpx.codes.OK, response.text
        return response.json()["data"]

    async def numbers(self, expr: str) -> list[float]:
        """Return the current values of an expression."""
        return [float(series["value"][1]) for series in (await self.get("query", query=expr))["result"]]

    async def has_data(self, question: Question) -> bool:
        """Return whether the expression had a value within the last minute."""
        now = time.time()
        data = await self.get("query_range", query=question.expr, start=str(now - RANGE), end=str(now), step="1")
        return any(not math.isnan(float(value)) for series in data["result"] for _, value in series["values"])

    async def without_data(
        self, queries: list[Question], condition: Callable[[Question], Awaitable[bool]] | None = None
    ) -> list[Question]:
        """Return the questions that do not satisfy `condition` (data, by default) after `RESULT_TIMEOUT` seconds."""
        deadline = time.monotonic() + RESULT_TIMEOUT
        while True:
            queries = [question for question in queries if not await (condition or self.has_data)(question)]
            if not queries or time.monotonic() > deadline:
                return queries
            await asyncio.sleep(0.5)

    async def has_exemplars(self, question: Question) -> bool:
        """Return whether its series have exemplars of the last minute."""
        now = time.time()
        return bool(await self.get("query_exemplars", query=question.expr, start=str(now - RANGE), end=str(now)))


@pytest.fixture
async def stack(tmp_path: Path, engine_program: Path) -> AsyncIterator[StackUnderTest]:
    """The engine, a monitor on it, and a Prometheus that scrapes both and evaluates the rules."""
    prometheus = find(PROMETHEUS)
    ports = {part: closed_port() for part in ("relay", "monitor", "prometheus")}
    listen = {part: f"127.0.0.1:{port}" for part, port in ports.items()}
    config = tmp_path / "config.yaml"
    config.write_text(
        CONFIG.format(listen=listen["monitor"], relay=f"ws://{listen['relay']}/connection/websocket"), "utf-8"
    )
    _generate(config, tmp_path)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(_prometheus(listen)), "utf-8")
    async with AsyncExitStack() as cleanup:
        running: list[Engine] = []

        async def start() -> None:
            running.append(await Engine.start(engine_program, "-listen", listen["relay"]))

        async def stop() -> None:
            await running[-1].kill()

        await start()
        cleanup.push_async_callback(stop)
        monitor = await cleanup.enter_async_context(
            Program(
                *(sys.executable, "-m", "monitor", "run", "--config", config),
                ready=f"http://{listen['monitor']}/-/ready",
                log=tmp_path / "monitor.log",
            )
        )
        await cleanup.enter_async_context(
            Program(
                *(
                    prometheus,
                    f"--config.file={tmp_path / 'prometheus.yml'}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                ),
                *("--enable-feature=exemplar-storage", f"--web.listen-address={listen['prometheus']}"),
                ready=f"http://{listen['prometheus']}/-/ready",
                log=tmp_path / "prometheus.log",
            )
        )
        made = StackUnderTest(f"http://{listen['prometheus']}", config, start, stop, monitor)
        cleanup.push_async_callback(made.client.aclose)
        yield made


def _generate(config: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "monitor", "generate", "--config", str(config), "--output", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60, capture_output=True)


def _prometheus(listen: dict[str, str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts/relay-monitor.rules.yml"],
        "scrape_configs": [
            {"job_name": "relay-monitor", "static_configs": [{"targets": [listen["monitor"]]}]},
            {
                "job_name": "centrifugo",
                "static_configs": [{"targets": [listen["relay"]]}],
                # The centrifuge library exports Centrifugo's metrics with another prefix.
                "metric_relabel_configs": [
                    {
                        "source_labels": ["__name__"],
                        "regex": "centrifuge_(.+)",
                        "target_label": "__name__",
                        "replacement": "centrifugo_$1",
                    }
                ],
            },
        ],
    }


def filled(expr: str, rate_interval: str = "4s") -> str:
    """Return the expression as Grafana sends it, with all values selected."""
    values = {
        "__rate_interval": rate_interval,
        "__interval": "1s",
        "__range": "5m",
        "install": "default",
        "relay": "demo",
    }
    expr = expr.replace("${centrifugo_selector:raw}", 'job="centrifugo"')
    return re.sub(r"\$(\w+)", lambda match: values.get(match.group(1), ".+"), expr)


def questions(config: Path) -> Iterator[Question]:
    """Yield every expression of the dashboards' files, with the models' reason why it may be empty."""
    loaded = load(config, {})
    made = files(loaded)
    for board in dashboards(loaded):
        if board.file == "load-test.json":  # its series are those of a load test: tests/dashboards/test_load.py
            continue
        dashboard = json.loads(made[f"dashboards/{board.file}"])
        quiet = {query.expr: query.empty_reason for panel in board.panels for query in panel.queries}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                source = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
                assert source is not None
                yield Question(f"{board.title}: ${variable['name']}", filled(source[1]))
        for annotation, mark in zip(board.annotations, dashboard["annotations"]["list"], strict=True):
            yield Question(f"{board.title}: mark {mark['name']}", filled(mark["expr"]), annotation.empty_reason)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                step = int(target["interval"].removesuffix("s"))
                yield Question(
                    f"{board.title}: {panel['title']} {target['refId']}",
                    filled(target["expr"], f"{4 * step}s"),
                    quiet[target["expr"]],
                    target["exemplar"],
                )


@pytest.mark.required_counterpart("prometheus")
@pytest.mark.required_counterpart(ENGINE)
@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT)
async def test_every_expression_has_data(stack: StackUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    queries = list(questions(stack.config))
    await stack.without_data([question for question in queries if not question.empty_reason])
    empty = [question for question in queries if not await stack.has_data(question)]
    with capsys.disabled():
        print(f"\n{len(queries)} run, {len(queries) - len(empty)} with data; empty while nothing fails:")  # noqa: T201
        for question in empty:
            print(f"  {question.where}: {question.empty_reason}")  # noqa: T201
    assert [question for question in empty if not question.empty_reason] == []

    shown = [question for question in queries if question.exemplars and not question.empty_reason]
    without_exemplars = [question.where for question in await stack.without_data(shown, stack.has_exemplars)]
    assert (bool(shown), without_exemplars) == (True, [])

    await stack.kill_relay()
    waiting = [question for question in empty if question.empty_reason not in NEVER_HERE]
    down = await stack.without_data(
        [question for question in waiting if question.empty_reason != connections.NO_RECONNECT]
    )
    await stack.start_relay()
    back = await stack.without_data(
        [question for question in waiting if question.empty_reason == connections.NO_RECONNECT]
    )
    with capsys.disabled():
        with_data = len(waiting) - len(down) - len(back)
        print(f"{len(waiting)} of them run in an outage or after it, {with_data} with data")  # noqa: T201
    assert [question.where for question in (*down, *back)] == []

    await stack.monitor.stop()
    async with asyncio.timeout(30):
        while await stack.numbers(filled(select("relay_monitor_healthy", MONITOR))):  # noqa: ASYNC110 - Prometheus has no notifications
            await asyncio.sleep(1)
    silent = {gauge: await stack.numbers(filled(worst_state(gauge, MONITOR, ("location",)))) for gauge in STATES}
    assert silent == {gauge: [-1.0] for gauge in STATES}
