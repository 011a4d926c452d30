"""The pods run on this machine as they are rendered: command line, files, user, read-only root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.chart.pod import Pod, labels_of
from tests.chart.rendering import find, objects, pod_spec, template, values_of
from tests.counterparts import HELM
from tests.daemon.harness import samples, total
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chart.rendering import Object

pytestmark = [pytest.mark.integration, pytest.mark.slow]

START_TIMEOUT = 20.0
CONFIG = """\
install: production
location: fra
locations: [fra]
shards: 2
relays:
  - {name: one, url: embedded, token_file: /run/secrets/relay-monitor/relay-credentials/token}
  - {name: two, url: embedded}
probes:
  - {name: idle, scenario: steady-state}
"""


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    """Skip where no mount namespace can be made; fail in CI, where Helm was built for these tests."""
    give_up = pytest.fail if os.environ.get("CI") == "true" and HELM.path.exists() else pytest.skip
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        give_up("no pod can be imitated here: run as root, with util-linux")
    script = "d=$(mktemp -d); mount -t tmpfs none $d"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script], capture_output=True, check=False
    )
    if done.returncode != 0:
        give_up(f"no pod can be imitated here: {done.stderr.decode().strip()}")


def rendered(folder: Path, port: int, *options: str, config: str = CONFIG) -> list[Object]:
    (folder / "own.yaml").write_text(yaml.safe_dump({"config": yaml.safe_load(config)}))
    secrets = "--set=secrets[0].name=relay-credentials"
    own = [f"--values={folder / 'own.yaml'}", f"--set=port={port}", secrets, *options]
    return objects(template(*values_of("minimal", folder), *own))


@contextmanager
def pod(made: list[Object], kind: str, name: str, folder: Path, index: int = 0) -> Iterator[Pod]:
    owner = find(made, kind, name)
    config_maps = {each["metadata"]["name"]: each["data"] for each in made if each["kind"] == "ConfigMap"}
    running = Pod(
        pod_spec(owner),
        labels_of(owner["spec"]["template"], index),
        folder=folder / "pod",
        config_maps=config_maps,
        secrets={"relay-credentials": {"token": "a.secret.token\n"}},
    )
    try:
        yield running.start()
    finally:
        running.stop()


def until_logged(running: Pod, event: str) -> dict[str, object]:
    """Wait for a log line and return it."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        if found := [line for line in lines if line["event"] == event]:
            return dict(found[-1])
        time.sleep(0.1)
    raise AssertionError(f"no {event!r} within {START_TIMEOUT} s: {running.log.read_text()}")


def until_ready(running: Pod, port: int) -> httpx.Response:
    """Wait for the pod's readiness probe, as the kubelet does."""
    probe = running.container["readinessProbe"]["httpGet"]
    assert probe["port"] == "http"
    assert running.container["ports"] == [{"name": "http", "containerPort": port, "protocol": "TCP"}]
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        assert running.process is not None
        assert running.process.poll() is None, running.log.read_text()
        with suppress(httpx.TransportError):
            response = httpx.get(f"http://127.0.0.1:{port}{probe['path']}", timeout=5)
            if response.status_code == 200:
                return response
        time.sleep(0.05)
    raise AssertionError(f"not ready within {START_TIMEOUT} s: {running.log.read_text()}")


def test_a_shard_runs_as_rendered_without_rights_and_on_a_read_only_root(tmp_path: Path) -> None:
    port = closed_port()
    made = rendered(tmp_path, port)
    with pod(made, "StatefulSet", "relay-monitor", tmp_path, index=1) as running:
        until_ready(running, port)
        found = samples(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text)
        assert total(found, "relay_monitor_shard_info", shard="1/2", install="production", location="fra") == 1
        status = dict(line.split(":\t", 1) for line in running.about("status"))
        assert status["Uid"].split() == ["65532"] * 4
        assert status["Gid"].split() == ["65532"] * 4
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        options = {line.split()[4]: line.split()[5].split(",")[0] for line in running.about("mountinfo")}
        assert options["/"] == "ro"
        assert options["/etc/relay-monitor"] == options["/run/secrets/relay-monitor/relay-credentials"] == "ro"
        assert options["/var/lib/relay-monitor"] == "rw"
        # An upgrade with another configuration, to which the pod's template is the same.
        after = rendered(tmp_path, port, config=CONFIG.replace("url: embedded}", "url: embedded, page_after: 1m}"))
        assert find(after, "StatefulSet") == find(made, "StatefulSet")
        running.replace_config_map(find(after, "ConfigMap")["data"])
        assert until_logged(running, "configuration reloaded")["changes"] == ["relays[two].page_after: 30s → 1m"]
    state = tmp_path / "pod" / "volumes" / "state"
    assert (state / "journal.db").exists()
    log = running.log.read_text()
    assert '"event": "monitor stopped"' in log
    assert "a.secret.token" not in log


def test_the_check_accepts_the_configuration_and_names_the_errors_of_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    with pod(rendered(tmp_path, 9464), "Job", "relay-monitor-check", tmp_path) as running:
        assert running.wait(START_TIMEOUT) == 0, running.log.read_text()
        assert "/etc/relay-monitor/config.yaml: valid" in running.log.read_text()
    # Its schema cannot know that there is no such key in the Secret.
    wrong = rendered(tmp_path, 9464, config=CONFIG.replace("relay-credentials/token", "relay-credentials/jwt"))
    with pod(wrong, "Job", "relay-monitor-check", tmp_path / "wrong") as running:
        assert running.wait(START_TIMEOUT) == 2
        assert (
            "relays[0].token_file: '/run/secrets/relay-monitor/relay-credentials/jwt' cannot be read"
            in running.log.read_text()
        )
