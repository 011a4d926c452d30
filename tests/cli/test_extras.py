"""The optional parts of the installation: the daemon needs none, and a command that needs one names it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from monitor.cli import TOPICS
from monitor.cli.extras import MODULES, Extra

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
OPTIONAL = sorted({module for modules in MODULES.values() for module in modules})

CONFIG = """
server: {listen: "127.0.0.1:0"}
relays: [{name: demo, url: embedded}]
probes: [{name: offline, scenario: async-delivery, schedule: {every: 1m}, delay: 100ms}]
"""

COMMANDS: dict[str, tuple[Extra, list[str]]] = {
    "compare": ("load", ["one.json", "two.json"]),
    "generate": ("generate", ["--check"]),
    "load": ("load", ["--target", "embedded", "--output", "missing/result.json"]),
    "merge": ("load", ["one.json", "two.json", "--output", "missing/merged.json"]),
    "simulate": ("simulate", []),
}


def command(*arguments: str, hidden: list[str]) -> list[str]:
    """Return the command line of the monitor in a Python that lacks some modules and at its end prints those loaded."""
    program = (
        "import atexit, sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"  # importing one of them raises ModuleNotFoundError
        f"loaded = lambda: [name for name in {OPTIONAL!r} if sys.modules.get(name)]\n"
        "atexit.register(lambda: print('loaded', loaded(), file=sys.stderr))\n"
        "from monitor.cli import main\n"
        "main()\n"
    )
    return [sys.executable, "-c", program, *arguments]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yaml"
    path.write_text(CONFIG)
    return path


def test_the_modules_of_each_extra_are_those_of_its_packages() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    providers = importlib.metadata.packages_distributions()
    for extra, modules in MODULES.items():
        packages = {canonicalize_name(name) for module in modules for name in providers[module]}
        assert packages == {canonicalize_name(Requirement(text).name) for text in extras.pop(extra)}
    assert extras == {}


def test_the_documentation_says_which_commands_need_an_extra() -> None:
    page = (ROOT / "docs" / "installation.md").read_text("utf-8")
    section = page[page.index("### Extras") : page.index("### Completion")]
    without, _, others = section.partition("need nothing else")
    named = set(re.findall(r"`([a-z]+)`", without))
    every = {each.__name__ for commands in TOPICS.values() for each in commands} | {"maintenance"}
    assert named == every - COMMANDS.keys()
    table = dict(re.findall(r"^\| `([a-z]+)` \| (.+) \|$", others, re.MULTILINE))
    assert {extra: re.findall(r"`([a-z]+)`", text) for extra, text in table.items()} == {
        extra: [name for name in ("load", "merge", "compare", "simulate", "generate") if COMMANDS[name][0] == extra]
        for extra in MODULES
    }


@pytest.mark.parametrize("hidden", [[], OPTIONAL], ids=["installed", "missing"])
@pytest.mark.parametrize("name", ["check", "once"])
def test_what_measures_a_relay_loads_no_extra(name: str, hidden: list[str], config: Path) -> None:
    done = subprocess.run(
        command(name, "--config", str(config), hidden=hidden), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "loaded []")


@pytest.mark.parametrize("hidden", [[], OPTIONAL], ids=["installed", "missing"])
def test_the_daemon_loads_no_extra(hidden: list[str], config: Path) -> None:
    line = command("run", "--config", str(config), "--log-format", "json", hidden=hidden)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, cwd=ROOT) as daemon:
        assert daemon.stderr is not None
        try:
            for entry in map(json.loads, daemon.stderr):
                if entry["event"] == "serving":
                    break
            daemon.send_signal(signal.SIGTERM)
            *_, last = daemon.stderr
        finally:
            daemon.kill()
    assert (daemon.returncode, last) == (0, "loaded []\n")


@pytest.mark.parametrize(
    ("name", "module"), [(name, module) for name, (extra, _) in COMMANDS.items() for module in MODULES[extra]]
)
def test_a_command_without_its_extra_says_which_to_install(name: str, module: str, tmp_path: Path) -> None:
    extra, arguments = COMMANDS[name]
    done = subprocess.run(
        command(name, *arguments, hidden=[module]), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    message, loaded = done.stderr.splitlines()
    assert message == (
        f"relay-monitor: this command needs {module}; install with: pip install 'relay-monitor[{extra}]'"
    )
    assert loaded == "loaded []"


@pytest.mark.parametrize("hidden", [[], OPTIONAL], ids=["installed", "missing"])
def test_the_next_steps_of_init_say_what_generate_needs(hidden: list[str], tmp_path: Path) -> None:
    line = command("init", "--url", "embedded", hidden=hidden)
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ("needs the extra `generate`" in done.stdout) is bool(hidden)


def test_the_daemon_does_not_load_rich(tmp_path: Path) -> None:
    """structlog imports it where it is installed, for tracebacks that the daemon prints plain: 4 MB."""
    program = (
        "import sys\n"
        f"sys.argv = ['relay-monitor', 'run', '--config', {str(tmp_path / 'missing.yaml')!r}]\n"
        "from monitor.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'rich', 'pygments'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[]\n"
    assert "missing.yaml" in done.stderr
