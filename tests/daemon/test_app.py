"""The daemon: as a process of its own on free ports, and in this process where its state must be seen or bent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.config import Config, parse
from monitor.daemon.app import Monitor, shard_of
from monitor.errors import ConfigError
from monitor.results import Disconnected, Paired, Pairing, PairTime
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ROOT = Path(__file__).parents[2]

STEADY = """
location: here
server: {{listen: "127.0.0.1:{port}"}}
state_dir: state
relays: [{{name: demo, url: embedded, limits: {{messages_per_minute: 6000, connects_per_minute: 600}}}}]
probes:
  - {{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 2m}}, delay: 60s}}
slos:
  - {{name: delivery, probe: steady, sli: availability, objective: 99%}}
  - {{name: stability, probe: steady, sli: stability, objective: 99%}}
  - {{name: pairing, probe: steady, sli: pairing, objective: 99%}}
"""

ALWAYS = '\nmaintenance: [{cron: "* * * * *", duration: 1h, reason: moving house}]\n'

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of the series of that name with those labels; there must be one."""
    values = [value for (its, own), value in found.items() if its == name and labels.items() <= dict(own).items()]
    assert values, f"no {name} with {labels}"
    return sum(values)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Daemon:
    """`relay-monitor run`, and what it serves."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.state = folder / "state"
        self.path = path = folder / "monitor.yaml"
        path.write_text(STEADY.format(port=port))
        self.log = folder / "log.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "--config", str(path), "--log-format", "json"],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=5)

    def until(self, true: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until something holds of the pages."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if true():
                    return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {self.log.read_text()}")

    def exchanged(self, probe: str, outcome: str) -> float:
        return total(samples(self.get("/metrics").text), "relay_probe_exchanges_total", probe=probe, outcome=outcome)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()


@pytest.mark.integration
class TestTheProcess:
    @pytest.mark.slow
    def test_it_measures_says_so_and_ends_in_time_with_its_runs_aborted(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.get("/-/ready").status_code == 200)
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 6)
        found = samples(daemon.get("/metrics").text)
        assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
        assert total(found, "relay_up", relay="demo") == 1
        assert total(found, "relay_monitor_healthy") == 1
        assert total(found, "relay_slo_events_total", slo="stability", outcome="good") > 0
        assert daemon.get("/").status_code == 200
        # The slot of the bounded probe is within the first five seconds; its run then waits for a minute.
        daemon.until(
            lambda: (
                total(
                    samples(daemon.get("/metrics").text), "relay_monitor_runs_total", probe="offline", result="started"
                )
                == 1
            )
        )
        daemon.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        stdout, _ = daemon.process.communicate(timeout=15)
        assert time.monotonic() - started < 10
        assert (daemon.process.returncode, stdout) == (0, b"")
        logged = [json.loads(line) for line in daemon.log.read_text().splitlines()]
        assert [line["event"] for line in logged if line["level"] in {"error", "critical"}] == []
        assert logged[-1]["event"] == "monitor stopped"
        runs = [json.loads(line) for line in (daemon.state / "runs.jsonl").read_text().splitlines() if line]
        assert {run["outcome"] for run in runs} <= {"ok", "aborted"}
        assert [run["outcome"] for run in runs if run["probe"] == "offline"] == ["aborted"]

    @pytest.mark.alone
    @pytest.mark.slow
    async def test_fifty_who_scrape_at_once_disturb_no_measurement(self, daemon: Daemon) -> None:
        await asyncio.to_thread(daemon.until, lambda: daemon.exchanged("steady", "ok") >= 2)
        answers: Counter[int] = Counter()
        end = time.monotonic() + 5

        async def scrape(client: httpx.AsyncClient) -> None:
            while time.monotonic() < end:
                answers[(await client.get(f"{daemon.url}/metrics")).status_code] += 1

        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(scrape(client))
        assert set(answers) == {200, 503}  # one at a time is rendered, a few wait, the others come back later
        ok = daemon.exchanged("steady", "ok")
        await asyncio.to_thread(daemon.until, lambda: daemon.exchanged("steady", "ok") >= ok + 2)
        found = samples(daemon.get("/metrics").text)
        assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
        assert total(found, "relay_probe_exchanges_total", outcome="aborted") == 0
        assert total(found, "relay_monitor_healthy") == 1

    def test_a_port_in_use_is_one_clear_line(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            (line,) = self.refused(tmp_path, STEADY.format(port=port))
        assert line.startswith(f"relay-monitor: cannot listen on 127.0.0.1:{port}: ")
        assert "server.listen" in line

    def test_a_configuration_that_is_wrong_is_refused_with_its_line(self, tmp_path: Path) -> None:
        (line,) = self.refused(tmp_path, STEADY.format(port=9464) + "relayz: []\n")
        assert re.search(r"monitor\.yaml:\d+: relayz: is not a key here; did you mean relays\?$", line)

    def refused(self, folder: Path, text: str) -> list[str]:
        """What a daemon that does not start says."""
        path = folder / "monitor.yaml"
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "run", "--config", str(path)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=ROOT,
        )
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr.splitlines()


def config(text: str = "", folder: Path | None = None) -> Config:
    read = parse(STEADY.format(port=0) + text, str((folder or Path("/nowhere")) / "monitor.yaml"), {})
    return read if folder is not None else read.model_copy(update={"state_dir": None})


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Monitor]:
    monitor = Monitor(config)
    await monitor.start()
    try:
        yield monitor
    finally:
        # No bounded run is worth waiting for here.
        for task in list(monitor.schedule._tasks):
            task.cancel()
        await monitor.stop()


def page(monitor: Monitor, *names: str) -> Samples:
    """Return the samples of a monitor in this process, or only those of these names, without rendering a page."""
    registry = monitor.metrics.registry
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in (registry.restricted_registry(names) if names else registry).collect()
        for sample in family.samples
    }


def shown(monitor: Monitor, name: str, **labels: str) -> float:
    """The sum of the series of that name with those labels, as `total` has it."""
    return total(page(monitor, name), name, **labels)


def exchanged(monitor: Monitor, outcome: str) -> float:
    return shown(monitor, "relay_probe_exchanges_total", probe="steady", outcome=outcome)


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - there is no event for what a page shows
            await asyncio.sleep(0.02)


def events(monitor: Monitor) -> float:
    return shown(monitor, "relay_slo_events_total")


class TestMaintenance:
    async def test_runs_go_on_and_count_for_nothing(self) -> None:
        async with running(config(ALWAYS)) as monitor:
            await until(lambda: exchanged(monitor, "excluded") >= 3)
            found = page(monitor)
            assert total(found, "relay_probe_exchanges_total", outcome="ok") == 0
            assert total(found, "relay_slo_events_total") == 0
            assert monitor.status()["relays"][0]["maintenance"] == "moving house"
            await until(lambda: shown(monitor, "relay_probe_maintenance", probe="steady") == 1)
            assert {kept.run.outcome for kept in monitor.journal.runs()} == {Outcome.EXCLUDED}


@pytest.mark.alone
class TestItsOwnHealth:
    async def test_a_blocked_loop_is_its_own_fault_and_no_failure_of_the_relay(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 3)
            assert shown(monitor, "relay_monitor_healthy") == 1
            bad = shown(monitor, "relay_slo_events_total", outcome="bad")
            # Longer than a timeout: whatever was under way is late.
            time.sleep(2.5)  # noqa: ASYNC251 - that is the fault
            await until(lambda: exchanged(monitor, "aborted") >= 3)
            found = page(monitor)
            assert total(found, "relay_monitor_healthy") == 0
            assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
            assert total(found, "relay_slo_events_total", outcome="bad") == bad
            assert total(found, "relay_up", relay="demo") == 1

    async def test_while_it_distrusts_itself_nothing_counts(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            monitor.health.mark_unhealthy("test", "a test")
            before = events(monitor)
            origin = {"relay": "demo", "probe": "steady", "run_id": "x"}
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Paired(**origin, pairing=Pairing(outcome=Outcome.FAILED)), context)
            monitor.pipeline.process(PairTime(**origin, connected=False, seconds=5.0), context)
            assert events(monitor) == before

    async def test_a_verdict_that_is_on_its_way_is_not_reached(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            up = monitor.monitored_relays.relays["demo"].verdict
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Disconnected(relay="demo", probe="steady", run_id="x", code=3001), context)
            confirming = up._task
            assert confirming is not None
            assert not confirming.done()
            monitor.health.mark_unhealthy("test", "a test")
            await asyncio.wait({confirming}, timeout=1)
            assert confirming.cancelled()
            assert up.up is True

    async def test_it_trusts_itself_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 0.5)
        async with running(config()) as monitor:
            monitor.health.mark_unhealthy("test", "a test")
            assert not monitor.health.healthy
            await until(lambda: monitor.health.healthy)
            assert shown(monitor, "relay_monitor_healthy") == 1
            await until(lambda: exchanged(monitor, "ok") >= 1)

    async def test_slots_that_pass_while_the_loop_is_blocked_are_missed(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            missed = shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed")
            # Each of the two pairs has a slot every 400 ms; one of them may be in the middle of an exchange, whose
            # successors are then skipped rather than missed.
            time.sleep(3.2)  # noqa: ASYNC251 - that is the fault
            await until(
                lambda: shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed") >= missed + 4
            )


class TestTheState:
    async def test_it_is_ready_while_its_schedule_is_armed(self) -> None:
        monitor = Monitor(config())
        assert monitor.ready() is not None
        await monitor.start()
        assert monitor.ready() is None
        await monitor.stop()
        assert monitor.ready() is not None

    async def test_the_status_is_json_and_says_what_is_watched(self) -> None:
        before = datetime.now(UTC)
        async with running(config()) as monitor:
            await until(lambda: monitor.status()["relays"][0]["up"] is True)
            status = json.loads(json.dumps(monitor.status()))
            assert before - timedelta(seconds=1) < datetime.fromisoformat(status["startedAt"]) < datetime.now(UTC)
            (relay,) = status["relays"]
            assert [(probe["name"], probe["schedule"]) for probe in relay["probes"]] == [
                ("steady", "continuous"),
                ("offline", "every 2m"),
            ]
            since, crossed = (datetime.fromisoformat(relay[key]) for key in ("since", "lastCrossing"))
            assert before < since < crossed + timedelta(seconds=0.1) < datetime.now(UTC) + timedelta(seconds=0.2)
            due = datetime.fromisoformat(relay["probes"][1]["nextDue"])
            assert before < due < before + timedelta(minutes=3)

    async def test_nothing_is_left_running_when_it_has_stopped(self) -> None:
        before = asyncio.all_tasks()
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
        await until(lambda: asyncio.all_tasks() == before, 3)

    async def test_the_runs_cut_short_are_aborted_and_in_the_journal(self, tmp_path: Path) -> None:
        async with running(config(folder=tmp_path)) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 2)
        assert exchanged(monitor, "failed") == 0
        again = Monitor(config(folder=tmp_path)).journal.runs()
        assert {Outcome.OK} <= {kept.run.outcome for kept in again} <= {Outcome.OK, Outcome.ABORTED}


SHARDED = """
relays: [{name: a, url: embedded}, {name: b, url: embedded}, {name: c, url: embedded}]
probes:
  - {name: all, scenario: steady-state}
  - {name: one, scenario: steady-state, relays: b}
slos:
  - {name: stability, probe: [all, one], sli: stability, objective: 99%}
  - {name: mine, probe: one, sli: stability, objective: 99%}
"""


class TestShards:
    def watched(self, index: int, count: int) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
        part = shard_of(parse(SHARDED, "monitor.yaml", {}), index, count)
        return (
            [relay.name for relay in part.relays],
            {probe.name: probe.relays for probe in part.probes},
            [slo.name for slo in part.slos],
        )

    def test_each_has_its_relays_and_what_watches_them(self) -> None:
        assert self.watched(0, 2) == (["a", "c"], {"all": ("a", "c")}, ["stability"])
        assert self.watched(1, 2) == (["b"], {"all": ("b",), "one": ("b",)}, ["stability", "mine"])

    def test_one_of_one_has_everything(self) -> None:
        assert self.watched(0, 1)[0] == ["a", "b", "c"]

    def test_together_they_watch_each_relay_once(self) -> None:
        for count in (1, 2, 3):
            relays = [name for index in range(count) for name in self.watched(index, count)[0]]
            assert sorted(relays) == ["a", "b", "c"]

    def test_one_that_has_nothing_to_do_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="shard 3/4: relays: there are only 3, none for this shard"):
            self.watched(3, 4)

    async def test_a_shard_runs_and_says_which_it_is(self) -> None:
        monitor = Monitor(shard_of(parse(SHARDED, "monitor.yaml", {}), 0, 2), shard=(0, 2))
        assert shown(monitor, "relay_monitor_shard_info", shard="0/2") == 1
        assert not [key for key in page(monitor) if ("relay", "b") in key[1]]
