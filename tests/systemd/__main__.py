"""Install the program and its unit as docs/installation.md says, and run it by a systemd of its own, as root.

`python -m tests.systemd` prints what was done, what systemd and the program did, and how long it took; it exits with 1
if something is not as documented.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import monitor
from tests.counterparts import BUILD, ENGINE, ROOT, MissingToolError
from tests.systemd.container import SYSTEMD, Container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FOLDER: Final = BUILD / "systemd"
UNIT: Final = "relay-monitor"
TOKEN: Final = "token-of-the-test"
WHEEL: Final = f"relay_monitor-{monitor.__version__}-py3-none-any.whl"

RELAYS: Final = ("production", "second", "third")
RELAY: Final = f"""\
  - name: %s
    url: ws://127.0.0.1:8000/connection/websocket
    token_file: ${{CREDENTIALS_DIRECTORY:-/run/credentials/{UNIT}.service}}/token
"""
CONFIG: Final = f"""\
server: {{listen: "${{RELAY_MONITOR_LISTEN:-127.0.0.1:9464}}"}}
state_dir: ${{STATE_DIRECTORY:-/var/lib/relay-monitor}}
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 1, message_interval: 1s, settle: 0s}}
relays:
{"".join(RELAY % name for name in RELAYS)}\
"""
ALL_UP: Final = f"{len(RELAYS)} of {len(RELAYS)} relays up"

INSTALL: Final = f"""
cd {ROOT}
UV_TOOL_DIR=/opt UV_TOOL_BIN_DIR=/usr/local/bin {Path(sys.executable).with_name("uv")} tool install --quiet \\
    --python /usr/bin/python3 --constraints requirements.lock {FOLDER}/dist/{WHEEL}
install -D -m 0644 {FOLDER}/config.yaml /etc/relay-monitor/config.yaml
install -m 0644 deploy/systemd/relay-monitor.service /etc/systemd/system/
install -D -m 0600 {FOLDER}/token /etc/credstore/relay-monitor.token
install {ENGINE.path} /usr/local/bin/engine
printf '[Service]\\nExecStart=/usr/local/bin/engine -listen 127.0.0.1:8000 -token {TOKEN}\\n' \\
    > /etc/systemd/system/engine.service
"""
"""The commands of docs/installation.md, and a unit of the relay."""

SHARDS: Final = f"""
sed -e 's|run --config|run --shard %i/3 --config|' -e 's|^StateDirectory=.*|&-%i|' \\
    -e 's|^DynamicUser=yes|&\\nEnvironment=RELAY_MONITOR_LISTEN=127.0.0.1:947%i|' \\
    /etc/systemd/system/{UNIT}.service > /etc/systemd/system/{UNIT}@.service
echo 'shards: 3' >> /etc/{UNIT}/config.yaml
systemctl daemon-reload
"""
"""What docs/installation.md says about shards."""

DYNAMIC_USERS: Final = range(61184, 65520)
"""User ids that systemd gives to services with DynamicUser."""

FETCH: Final = (
    "from urllib.request import *; print(urlopen('http://127.0.0.1:9464/metrics', timeout=5).read().decode())"
)
EXCHANGE: Final = re.compile(r'^relay_probe_exchanges_total\{.*outcome="ok".*\} [1-9]', re.MULTILINE)


class Checks:
    """What is checked of a running systemd. Each line is printed; `wrong` has those that are not as documented."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.wrong: list[str] = []

    def show(self, what: str, *, good: bool = True) -> None:
        """Print a line."""
        sys.stdout.write(f"{'' if good else 'WRONG '}{what}\n")
        sys.stdout.flush()
        if not good:
            self.wrong.append(what)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command and print how it ended."""
        began = time.monotonic()
        done = self._container.run(*words)
        self.show(f"$ {' '.join(words)}: exit {done.returncode}, {time.monotonic() - began:.1f} s")
        return done

    def property(self, name: str) -> str:
        """Return a property of the unit."""
        return self._container.run("systemctl", "show", "--value", "--property", name, UNIT).stdout.strip()

    def until(self, what: str, done: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition, and print how long it took."""
        began = time.monotonic()
        while not (holds := done()) and time.monotonic() < began + seconds:
            time.sleep(0.2)
        self.show(f"{what}: after {time.monotonic() - began:.1f} s of {seconds:g}", good=holds)

    def exchanged(self) -> bool:
        """Return whether /metrics has an exchange."""
        return EXCHANGE.search(self._container.run("python3", "-c", FETCH).stdout) is not None

    def log(self) -> str:
        """Return the log of the unit."""
        return self._container.run("journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}*").stdout

    def all(self) -> None:
        """Check everything."""
        self.start()
        self.privileges()
        self.reload()
        self.restart()
        self.watchdog()
        self.stop()
        self.shards()

    def start(self) -> None:
        """Start it: the command returns when the schedule has started, and an exchange follows."""
        done = self.command("systemctl", "start", UNIT)
        self.show(f"  state: {self.property('ActiveState')}", good=done.returncode == 0)
        self.until("  first exchange on /metrics", self.exchanged, 20)
        self.until(f"  status: {ALL_UP}", lambda: self.property("StatusText") == ALL_UP, 20)
        done = self.command("relay-monitor", "status")
        self.show("  the page in a terminal", good=done.returncode == 0 and "production" in done.stdout)
        done = self.command("relay-monitor", "check", "--config", f"/etc/{UNIT}/config.yaml")
        self.show("  the configuration is valid in a shell too", good=done.returncode == 0)

    def privileges(self) -> None:
        """Look at the user, the credential, the state, and what systemd thinks of it."""
        main = self.property("MainPID")
        status = self._container.run("cat", f"/proc/{main}/status").stdout
        user = int(re.findall(r"^Uid:\s+(\d+)", status, re.MULTILINE)[0])
        self.show(f"DynamicUser: runs as {user}", good=user in DYNAMIC_USERS)
        sets = re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s+(\w+)", status, re.MULTILINE)
        self.show(f"capabilities: {', '.join(sorted(set(sets)))}", good=set(sets) == {"0" * 16})
        token = f"/run/credentials/{UNIT}.service/token"
        found = self._container.run("stat", "--format=%u %a %s", token).stdout.split()
        self.show(f"LoadCredential: {token} is of {found[0]}, mode {found[1]}", good=found[:2] == [str(user), "400"])
        as_another = self._container.run("setpriv", "--reuid=65534", "--clear-groups", "cat", token)
        self.show("  another user cannot read it", good=as_another.returncode != 0)
        as_service = ("nsenter", "--target", main, "--mount", "--", "setpriv", f"--reuid={user}", "--clear-groups")
        state = self._container.run("stat", "--format=%u %a", "/var/lib/private/relay-monitor").stdout.split()
        self.show(f"StateDirectory: of {state[0]}, mode {state[1]}", good=state == [str(user), "700"])
        journal = self._container.run("ls", "/var/lib/private/relay-monitor").stdout.split()
        self.show(f"  has {', '.join(journal)}", good=bool(journal))
        for path in ("/etc/relay-monitor/x", "/opt/x", "/usr/local/bin/x"):
            written = self._container.run(*as_service, "touch", path)
            self.show(f"  cannot write {path}: {written.stderr.strip()}", good=written.returncode != 0)
        done = self.command("systemd-analyze", "security", "--no-pager", UNIT)
        level = re.findall(r"exposure level for \S+: (\d+\.\d)", done.stdout)
        self.show(f"  exposure level: {level}", good=bool(level) and float(level[0]) <= 2.0)

    def reload(self) -> None:
        """Reload an invalid configuration, then a valid one."""
        file = f"/etc/{UNIT}/config.yaml"
        self._container.run("sed", "-i", "s/scenario: steady-messaging/scenario: none/", file)
        done = self.command("systemctl", "reload", UNIT)
        self.show("  an invalid file fails the reload", good=done.returncode != 0)
        self.show("  the journal has its error", good="config.yaml:4: probes[0].scenario" in self.log())
        self._container.run("chmod", "0600", file)
        done = self.command("systemctl", "reload", UNIT)
        self.show("  a file that only root can read fails it too", good=done.returncode != 0)
        self.show("  the journal says so", good=f"path '{file}' is not readable" in self.log())
        self._container.run("chmod", "0644", file)
        self.show(f"  state: {self.property('ActiveState')}", good=self.property("ActiveState") == "active")
        self._container.run("sed", "-i", "s/scenario: none/scenario: steady-messaging/; s/1s, settle/2s, settle/", file)
        done = self.command("systemctl", "reload", UNIT)
        self.show("  a valid file is in force", good=done.returncode == 0)
        self.until("  the log says so", lambda: "configuration reloaded" in self.log(), 10)

    def restart(self) -> None:
        """Kill the process: it is started again."""
        before = self.property("MainPID")
        self.command("kill", "-KILL", before)
        self.until("  started again", lambda: self._is_new(before), 20)
        self.until(f"  status: {ALL_UP}", lambda: self.property("StatusText") == ALL_UP, 20)
        self.show(f"  restarts: {self.property('NRestarts')}", good=self.property("NRestarts") == "1")

    def watchdog(self) -> None:
        """Block the event loop: the watchdog ends the process, whose stack is in the journal; it is started again."""
        before = self.property("MainPID")
        self.command("kill", "-STOP", before)
        self.until("  the watchdog ended it, and it was started again", lambda: self._is_new(before), 75)
        log = self.log()
        self.show("  the journal says why", good="Watchdog timeout" in log)
        self.show("  and has Python's stack", good="Fatal Python error: Aborted" in log)
        self.until(f"  status: {ALL_UP}", lambda: self.property("StatusText") == ALL_UP, 20)

    def stop(self) -> None:
        """Stop it: its state stays, its credential does not."""
        done = self.command("systemctl", "stop", UNIT)
        result = f"{self.property('ActiveState')}, {self.property('Result')}"
        self.show(f"  state: {result}", good=done.returncode == 0 and result == "inactive, success")
        gone = self._container.run("ls", f"/run/credentials/{UNIT}.service").returncode != 0
        self.show("  the credential is gone", good=gone)
        kept = self._container.run("ls", "/var/lib/private/relay-monitor").stdout.split()
        self.show(f"  the state stays: {', '.join(kept)}", good=bool(kept))

    def shards(self) -> None:
        """Run three shards by a template of the unit."""
        done = self._container.run("sh", "-euc", SHARDS)
        self.show("three shards by a template", good=done.returncode == 0)
        units = [f"{UNIT}@{index}" for index in range(3)]
        done = self.command("systemctl", "start", *units)
        self.show("  all start", good=done.returncode == 0)
        self.until("  each has relays, and all are up", lambda: self._relays_up(units) == len(RELAYS), 20)
        done = self.command("systemctl", "reload", *units)
        self.show("  all reload", good=done.returncode == 0)
        done = self.command("systemctl", "stop", *units)
        self.show("  all stop", good=done.returncode == 0)
        kept = self._container.run("sh", "-c", "ls -d /var/lib/private/*").stdout.split()
        self.show(f"  the state of each: {', '.join(kept)}", good=len(kept) == 1 + len(units))

    def _relays_up(self, units: Sequence[str]) -> int:
        """Return the number of relays that are up in all units; 0 if one has none, or one that is not up."""
        found = [self._container.run("systemctl", "show", "--value", "-p", "StatusText", each).stdout for each in units]
        counts = [re.fullmatch(r"(\d+) of \1 relays? up", text.strip()) for text in found]
        return sum(int(count[1]) for count in counts if count) if all(counts) else 0

    def _is_new(self, before: str) -> bool:
        return self.property("ActiveState") == "active" and self.property("MainPID") not in {"0", before}


def missing() -> Iterator[str]:
    """Yield what this needs and does not find."""
    if os.geteuid() != 0:
        yield "only root can make namespaces"
    if not SYSTEMD.exists():
        yield f"there is no {SYSTEMD}: apt-get install -y systemd"
    for program in ("unshare", "nsenter", "ip", "pivot_root"):
        if shutil.which(program) is None:
            yield f"there is no {program}: apt-get install -y util-linux iproute2"


def main() -> int:
    """Run the command."""
    try:
        ENGINE.obtain()
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if found := list(missing()):
        sys.stderr.write("\n".join(found) + "\n")
        return 2
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "dist").mkdir(parents=True)
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(FOLDER / "dist"))
    subprocess.run(build, cwd=ROOT, check=True, timeout=120)
    (FOLDER / "config.yaml").write_text(CONFIG, "utf-8")
    (FOLDER / "token").write_text(TOKEN, "utf-8")
    with tempfile.TemporaryDirectory() as folder, Container(Path(folder), INSTALL) as container:
        checks = Checks(container)
        container.run("systemctl", "start", "engine")
        checks.all()
        if checks.wrong:
            sys.stderr.write(checks.log())
    sys.stdout.write(f"{len(checks.wrong)} wrong\n")
    return int(bool(checks.wrong))


if __name__ == "__main__":
    sys.exit(main())
