"""What is read from a real Prometheus: samples, stale markers, selectors."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from monitor.errors import RequestError
from monitor.simulation.promql import Evaluator, Store, selectors_of
from monitor.simulation.replay.recorded import Recorded, covering, samples_of
from monitor.web.prometheus import PrometheusClient, PrometheusError, SampledSeries
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT = 40.0


@pytest.fixture
def exposed() -> Iterator[tuple[list[str], int]]:
    """Serve lines of metrics; yield the list of them and the port."""
    lines = ["steady 1", "ended 1"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write("".join(f"{line}\n" for line in lines).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield lines, server.server_port
        server.shutdown()
        thread.join()


def scraping(folder: Path, port: int) -> Program:
    config = folder / "prometheus.yml"
    target = f"{{job_name: test, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}"
    config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs: [{target}]\n")
    listen = f"127.0.0.1:{closed_port()}"
    return Program(
        *(find(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={listen}",
        ready=f"http://{listen}/-/ready",
        log=folder / "prometheus.log",
    )


async def until(client: PrometheusClient, expression: str, *, empty: bool = False) -> float:
    """Wait until an instant query has a result, or none, and return Prometheus' time."""
    async with asyncio.timeout(TIMEOUT):
        while bool(list(client.query(expression))) is empty:  # noqa: ASYNC110 - it waits for another process
            await asyncio.sleep(0.05)
        return next(value for _, value in client.query("vector(time())"))


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.required_counterpart("prometheus")
async def test_a_series_that_ends_has_a_marker_where_prometheus_has_one(
    tmp_path: Path, exposed: tuple[list[str], int]
) -> None:
    lines, port = exposed
    async with scraping(tmp_path, port) as prometheus:
        client = PrometheusClient(prometheus.url, "default")
        start = float(int(await until(client, "count_over_time(ended[1m]) >= 2"))) - 3
        lines.remove("ended 1")
        end = float(int(await until(client, "count_over_time(ended[4s])", empty=True)))
        names = [each for name in ("steady", "ended") for each in selectors_of(name)]
        recorded = Recorded(client, names, interval=1.0, step=1.0)
        series = recorded.advance(start, end)
        assert client.major_version() in {2, 3}
        at = np.arange(start, end)
        for name in ("steady", "ended"):
            evaluated = client.evaluated(name, start, end - 1, 1.0)
            expected = {each for found in evaluated for each in samples_of(found)[0].tolist()}
            (found,) = Evaluator(Store(series), at).vector(name).values()
            assert set(at[~np.isnan(found)]) == expected
    (ended,) = (each for each in series if each.name == "ended")
    assert np.isnan(ended.values[-1])
    assert end - ended.times[-1] < 60.0


def texts(*expressions: str) -> list[str]:
    selectors = [each for expression in expressions for each in selectors_of(expression)]
    return [f"{each.name}{sorted(each.matchers)}" for each in covering(selectors)]


def test_selectors_that_others_cover_are_not_read() -> None:
    assert texts('up{a="1"}', 'up{a="1", b="2"}', 'rate(up{a="1"}[5m])') == ["up[('a', '=', '1')]"]
    assert len(texts('up{a="1"}', 'up{a="2"}', "down")) == 3


def test_a_selector_without_a_name_is_refused() -> None:
    with pytest.raises(RequestError, match="without a metric name"):
        covering(selectors_of('{a="1"}'))


def test_samples_are_read_from_their_text() -> None:
    text = b'[[1770076796.537,"1"],[1770076811.5,"-2.5e-3"],[1770076827,"NaN"],[1770076842,"+Inf"]]'
    times, values = samples_of(SampledSeries({}, msgspec.Raw(text)))
    assert times.tolist() == [1770076796.537, 1770076811.5, 1770076827.0, 1770076842.0]
    assert values.tolist()[:2] == [1.0, -0.0025]
    assert np.isnan(values[2])
    assert values[3] == np.inf
    assert [len(each) for each in samples_of(SampledSeries({}))] == [0, 0]


@pytest.mark.parametrize("text", [b'[[1,"one"]]', b"[1]", b'{"a": 1}', b'[[1,"1"],[2]]'])
def test_samples_that_are_no_pairs_of_numbers_are_an_error(text: bytes) -> None:
    with pytest.raises(PrometheusError, match="samples that are not numbers"):
        samples_of(SampledSeries({}, msgspec.Raw(text)))
