"""The wheel and the sdist: what they contain, and that the program runs from the wheel without the repository."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import monitor
from tests.daemon.harness import samples, total
from tests.relays import ROOT
from tests.sockets import closed_port
from tests.test_project import tracked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.relays import Engine

pytestmark = pytest.mark.integration

UV = Path(sys.executable).with_name("uv")


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a wheel or an sdist with the project's build backend."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1000000000"}
    subprocess.run(command, cwd=source, env=environ, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_the_package_only(wheel: Path) -> None:
    """It includes templates, style sheets and `py.typed`."""
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == {path.relative_to(ROOT).as_posix() for path in tracked("monitor")}
    assert {"monitor/py.typed", "monitor/slo/runbooks.yaml"} <= inside
    assert [name for name in inside if name.startswith("monitor/web/templates/")]
    assert [name for name in inside if name.startswith("monitor/web/static/")]


def test_the_wheel_has_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"relay_monitor-{monitor.__version__}-py3-none-any.whl"


def test_the_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert source.name == f"relay_monitor-{monitor.__version__}"
    assert {path.name for path in source.iterdir()} == {
        "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "config.yaml", "monitor", "pyproject.toml", ".gitignore",
    }  # fmt: skip
    assert build("wheel", source, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the locked packages of the daemon, and the wheel; returns its folder of programs."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    packages = ("pip", "install", "--quiet", "--python", str(folder))
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([UV, *packages, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    subprocess.run([UV, *packages, "--no-deps", wheel], check=True)
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.required_counterpart("relay engine")
async def test_the_installed_program_watches_a_relay_elsewhere(
    environment: Path, engine: Engine, tmp_path: Path
) -> None:
    """From the wheel to the first exchange on /metrics: `init`, `check`, `run`."""
    await asyncio.to_thread(watch, environment, engine.url, tmp_path)


def watch(environment: Path, url: str, folder: Path) -> None:
    program, port = environment / "relay-monitor", closed_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ["RELAY_MONITOR_LISTEN"] = f"127.0.0.1:{port}"

    def run(*words: str | Path) -> str:
        done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run(environment / "python", "-c", "import monitor; print(monitor.__file__)")
    assert Path(where.strip()).is_relative_to(environment.parent)
    assert run(program, "--version") == f"relay-monitor {monitor.__version__}\n"
    assert "The relay works: paired in " in run(program, "init", "--url", url, "--name", "demo")
    assert "demo" in run(program, "check")
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([program, "run"], cwd=folder, env=environ, stderr=log)
    try:
        wait_for(lambda: exchanged(port) > 0, daemon)
        assert monitor.__version__ in httpx.get(f"http://127.0.0.1:{port}/").text
        daemon.terminate()
        assert daemon.wait(15) == 0, (folder / "log").read_text()
    finally:
        daemon.kill()
        daemon.wait()


def exchanged(port: int) -> float:
    """Return the number of good exchanges on /metrics."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return 0.0
    return total(samples(text), "relay_probe_exchanges_total", probe="steady", outcome="ok")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the daemon ended"
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
