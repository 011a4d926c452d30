"""Check an alert that a webhook received: its links, and the queries of its runbook in that Prometheus."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from monitor.config import load
from monitor.slo import dashboards
from monitor.slo.runbooks import RELAY, runbooks
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

LINE: Final = "─" * 100

RECORDED_WITHIN: Final = 75.0
"""Seconds within which each recorded series has a sample: some are recorded once a minute."""

POLL_INTERVAL: Final = 2.0
"""Seconds between two queries."""


def printed(alert: Mapping[str, Any]) -> str:
    """Return the text of an alert as it was received, with its links."""
    texts, labels = alert["annotations"], alert["labels"]
    links = "\n".join(f"{name}: {texts[name]}" for name in sorted(texts) if name.endswith("_url"))
    return (
        f"{LINE}\n{labels['alertname']} ({labels['severity']})\n\n{texts['summary']}\n{texts['description']}\n\n{links}"
    )


class Incident:
    """Reads the pages of a monitor and the series of Prometheus; `file` is the configuration."""

    def __init__(self, file: Path, prometheus: str, client: httpx.AsyncClient) -> None:
        self._config = load(file, {})
        self._prometheus = prometheus
        self._client = client
        boards = [json.loads(made) for path, made in dashboards.files(self._config).items() if path.endswith(".json")]
        self._boards = {board["uid"]: board for board in boards}

    async def wrong_links(self, alert: Mapping[str, Any]) -> AsyncIterator[str]:
        """Yield a line for each link of an alert that does not work."""
        texts = alert["annotations"]
        for name in ("page_url", "incident_url"):
            if name in texts and (status := (await self._client.get(texts[name])).status_code) != httpx.codes.OK:
                yield f"{name} answers {status}: {texts[name]}"
        runbook = texts["runbook_url"].rpartition("/")[2]
        if not (ROOT / "docs" / "runbooks" / runbook).is_file():
            yield f"no runbook: {runbook}"
        url = urlsplit(texts["dashboard_url"])
        board = self._boards.get(url.path.rpartition("/")[2])
        if board is None:
            yield f"no dashboard: {texts['dashboard_url']}"
            return
        variables = {f"var-{each['name']}" for each in board["templating"]["list"]}
        asked = parse_qs(url.query)
        if unknown := set(asked) - variables - {"from", "to"}:
            yield f"variables that the dashboard does not have: {', '.join(sorted(unknown))}"
        if not asked["from"][0].isdecimal():
            yield f"from is no time: {texts['dashboard_url']}"

    async def wrong_queries(self, alert: Mapping[str, Any]) -> AsyncIterator[str]:
        """Yield a line for each query of the alert's runbook that gives no data."""
        labels = alert["labels"]
        for step in runbooks(self._config)[labels["alertname"]].steps:
            if step.query is None or step.empty is not None:
                continue
            query = step.query.replace(RELAY, labels.get("relay", "")).replace("GROUP", labels.get("group", ""))
            if not await self._has_data(query):
                yield f"no data in the runbook: {query}"

    async def _has_data(self, query: str) -> bool:
        """Return whether a query has data, also if what it reads is only recorded once a minute."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORDED_WITHIN):
                while True:
                    response = await self._client.get(f"{self._prometheus}/api/v1/query", params={"query": query})
                    if response.json().get("data", {}).get("result"):
                        return True
                    await asyncio.sleep(POLL_INTERVAL)
        return False
