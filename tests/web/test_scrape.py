from __future__ import annotations

import asyncio
import gzip
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.web.scrape import MAX_QUEUED, accepts_gzip
from tests.metrics.sample import OPENMETRICS, RUN_ID, exchange, exporter, run
from tests.web.site import client


async def test_prometheus_can_parse_it() -> None:
    async with client() as web:
        response = await web.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in response.headers
    assert "relay_probe_exchanges" in {family.name for family in text_string_to_metric_families(response.text)}


async def test_openmetrics_with_exemplars_is_negotiated() -> None:
    metrics = exporter()
    metrics.publish(run(exchange()))
    async with client(metrics=metrics.render) as web:
        plain = await web.get("/metrics")
        response = await web.get("/metrics", headers={"Accept": OPENMETRICS})
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    assert response.text.endswith("# EOF\n")
    assert RUN_ID in response.text
    assert RUN_ID not in plain.text


async def test_it_is_compressed_if_accepted() -> None:
    async with (
        client(metrics=lambda _: (b"a 1\n" * 1_000, "text/plain")) as web,
        web.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as response,
    ):
        compressed = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert len(compressed) < 100
    assert gzip.decompress(compressed) == b"a 1\n" * 1_000


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip; q=1.0", True),
        ("x-gzip", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br, *", False),
        ("gzipped", False),
    ],
)
def test_accepted_encodings(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


async def test_a_slow_scrape_blocks_no_request_and_the_queue_is_bounded() -> None:
    release = threading.Event()
    concurrent = max_concurrent = 0

    def render(_: str) -> tuple[bytes, str]:
        nonlocal concurrent, max_concurrent
        concurrent += 1
        max_concurrent = max(max_concurrent, concurrent)
        assert release.wait(30)
        concurrent -= 1
        return b"", "text/plain"

    async with client(metrics=render) as web:
        scrapes = [asyncio.create_task(web.get("/metrics")) for _ in range(MAX_QUEUED + 3)]
        done, waiting = await asyncio.wait(scrapes, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert [task.result().status_code for task in done] == [503, 503]
        assert (await web.get("/-/healthy")).status_code == 200
        release.set()
        assert {(await task).status_code for task in waiting} == {200}
        assert (await web.get("/metrics")).status_code == 200
    assert max_concurrent == 1


async def test_a_failed_scrape_does_not_block_the_next() -> None:
    pages = [(b"ok", "text/plain")]

    def render(_: str) -> tuple[bytes, str]:
        if len(pages) == 1:
            pages.append((b"", ""))
            raise RuntimeError("broken")
        return pages[0]

    async with client(metrics=render) as web:
        with pytest.raises(RuntimeError):
            await web.get("/metrics")
        assert (await web.get("/metrics")).text == "ok"
