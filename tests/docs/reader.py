"""A reader who enters the commands of pages, one after the other, on a machine of their own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.docs import examples
from tests.docs.blocks import ROOT, SHELL, SNIPPETS, commands_of
from tests.docs.isolated_host import POLL, IsolatedHost
from tests.docs.outputs import difference
from tests.docs.pages import IN_A_CHECKOUT
from tests.docs.snippets import write_into

if TYPE_CHECKING:
    from types import TracebackType

    from tests.docs.blocks import Block, Command
    from tests.docs.examples import Service

INSTALLED: Final = "/usr/local/bin/relay-monitor"
GIVEN: Final = Path(__file__).parent / "given"

SLOW: Final = re.compile(
    r"""relay-monitor[ ](?: once(?!.*--probe) | simulate | drill | load | merge | compare )
      | (?:^|[ /])python[ ]-m[ ]bench | ^make[ ](?!run\b|setup\b)""",
    re.VERBOSE,
)
"""Commands that take longer than a test in CI may: `make docs-commands` executes them."""

SERVERS: Final = re.compile(
    r"^(?:\w+=\S* )*(?:\S*/)?(?:relay-monitor (?P<command>run|relay)\b|make run\b)(?P<options>.*)", re.DOTALL
)
LISTEN: Final = re.compile(r"--listen (\S+)")
TRACEBACK: Final = "Traceback (most recent call last)"
OPENED: Final = re.compile(r"^http://127\.0\.0\.1:9464: .*, window (\w+)$", re.MULTILINE)
WINDOW: Final = r"\bk7m2xq\b"
"""The id of a maintenance window in the examples: that of the last one that the reader has opened here."""

ADDRESSES: Final = {"run": "127.0.0.1:9464", "relay": "127.0.0.1:8000"}

QUICK: Final = 90.0
PATIENT: Final = 900.0
"""Limit of a command where slow ones are executed, too: `bench.scale relays` takes five minutes on an idle machine."""

START_TIMEOUT: Final = 120.0


class Treatment(StrEnum):
    """What becomes of a command."""

    EXECUTED = "executed"
    SHORTENED = "shortened"
    CHECKED = "checked only"
    NEEDS = "needs"


class CommandError(Exception):
    """A command does not do what its page says. The message has its place, and what it printed."""

    def __init__(self, command: Command, what: str, printed: str = "") -> None:
        super().__init__(f"{command.where}: {what}\n$ {command.text}\n{printed[-4000:]}".rstrip())


@dataclass(frozen=True, slots=True)
class Treated:
    """A command and what became of it."""

    command: Command
    treatment: Treatment
    seconds: float


def treatment_of(block: Block, command: Command, *, slow: bool) -> Treatment:
    """Return what becomes of a command. With `slow`, those that take long are executed too."""
    if "needs" in block.marks:
        return Treatment.NEEDS
    if not slow and SLOW.search(command.text):
        return Treatment.CHECKED
    return Treatment.EXECUTED if examples.shortened(command.text) == command.text else Treatment.SHORTENED


class Reader:
    """The reader, while the context lasts. `folder` is an empty one, for logs.

    Raises `OSError` as `IsolatedHost` does.
    """

    def __init__(self, folder: Path, *, slow: bool) -> None:
        self._host = IsolatedHost(folder, examples.VARIABLES)
        self._slow = slow
        self._stack = ExitStack()
        self._folder = folder
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: dict[str, tuple[Command, subprocess.Popen[bytes]]] = {}
        self._done: set[str] = set()
        self._is_set_up = False
        self._failures: list[str] | None = None
        self._values: dict[str, str] = {}

    def __enter__(self) -> Self:
        host = self._stack.enter_context(self._host)
        for name, text in examples.files().items():
            host.write(name, text)
        host.path(INSTALLED).unlink(missing_ok=True)
        if not (ROOT / ".venv").exists():
            host.path(".venv").symlink_to(sys.prefix)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, blocks: list[Block], failures: list[str] | None = None) -> list[Treated]:
        """Do what the blocks say, in their order, and return what became of each command.

        Raises `CommandError` for the first one that fails, or prints something else than its page shows. With
        `failures` its message goes there instead, and the reader goes on.
        """
        self._failures = failures
        treated: list[Treated] = []
        self._is_set_up = blocks[0].page not in IN_A_CHECKOUT
        if self._is_set_up and not self._host.path(INSTALLED).is_symlink():
            self._host.path(INSTALLED).symlink_to(examples.PROGRAM)
        for block in blocks:
            if block.language in SNIPPETS:
                self._write(block)
            elif block.language in SHELL:
                treated += [self._treat(block, command) for command in commands_of(block)]
            if block.language == "console":
                self._stop_servers()
        self._stop_servers()
        return treated

    def _stop_servers(self) -> None:
        """End the commands that do not end. An example with prompts is complete in itself."""
        for command, process in self._servers.values():
            if process.poll() is not None:
                self._fail(CommandError(command, "ended by itself", self._log(command)))
            else:
                self._host.stop(process)
        self._servers.clear()

    def _fail(self, error: CommandError) -> None:
        if self._failures is None:
            raise error
        self._failures.append(str(error))

    def _write(self, block: Block) -> None:
        if (name := block.marks.get("file")) is not None:
            self._host.write(name, block.text)
        if (name := block.marks.get("into")) is not None:
            path = self._host.path(name)
            path.write_text(write_into(path.read_text("utf-8"), block.text), "utf-8")

    def _treat(self, block: Block, command: Command) -> Treated:
        treatment = treatment_of(block, command, slow=self._slow)
        started = time.monotonic()
        if treatment in {Treatment.EXECUTED, Treatment.SHORTENED}:
            try:
                self._enter(command)
            except CommandError as error:
                self._fail(error)
            except subprocess.SubprocessError as error:  # of what prepares the command
                self._fail(CommandError(command, str(error)))
        return Treated(command, treatment, time.monotonic() - started)

    def _enter(self, command: Command) -> None:
        self._is_set_up |= command.text.startswith("make ")
        if ".venv/" in command.text and not self._is_set_up:
            raise CommandError(command, "nothing on the page has made .venv/")
        text = self._entered(command.text)
        if (server := SERVERS.match(text)) is not None:
            self._start_server(command, text, server)
        elif text not in self._done:
            self._execute(command, text)

    def _entered(self, text: str) -> str:
        """Return what the reader enters: with their own values, after they have made the files of their own."""
        text = examples.shortened(text)
        for word, value in {**examples.PLACEHOLDERS, **self._values}.items():
            text = re.sub(word, value, text)
        for path in GIVEN.iterdir():
            name = path.name.removesuffix(".sh")
            if re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w.-])", text) and not self._host.path(name).exists():
                if path.suffix == ".sh":
                    self._host.run(f'PATH="{examples.PROGRAM.parent}:$PATH" sh -eu {path}', QUICK).check_returncode()
                else:
                    self._host.copy(path, name)
        return text

    def _execute(self, command: Command, text: str) -> None:
        """Execute a command; a second time, where it changes nothing, would tell nothing new."""
        if re.search(r"\bgit ", text) and not self._host.path("/srv/fork.git").exists():
            self._host.run(examples.REPOSITORY, QUICK).check_returncode()
        for service in examples.SERVICES:
            if service.needed_by.search(text):
                self._start_service(command, service)
        try:
            typed = examples.TYPED.get(text)
            line = text if typed is None else f"script --quiet --return --command {shlex.quote(text)} /dev/null"
            done = self._host.run(line, PATIENT if self._slow else QUICK, typed or "")
        except subprocess.TimeoutExpired:
            raise CommandError(command, "did not end in time") from None
        printed = f"{done.stdout}{done.stderr}"
        if done.returncode not in command.statuses:
            expected = " or ".join(map(str, command.statuses))
            raise CommandError(command, f"exited with {done.returncode}; expected {expected}", printed)
        if TRACEBACK in printed:
            raise CommandError(command, "printed a traceback", printed)
        if (window := OPENED.search(done.stdout)) is not None:
            self._values[WINDOW] = window[1]
        if (wrong := difference(command.shown, done.stdout)) is not None:
            raise CommandError(command, wrong, printed)
        if not command.shown and command.statuses == (0,) and _only_reads(text):
            self._done.add(text)

    def _start_server(self, command: Command, text: str, found: re.Match[str]) -> None:
        """Start a command that does not end, in place of the last one of its kind."""
        kind = found["command"] or "run"
        if kind in self._servers:
            self._host.stop(self._servers.pop(kind)[1])
        if kind == "run" and (monitor := self._services.pop(examples.LOCAL_MONITOR.name, None)) is not None:
            self._host.stop(monitor)
        for service in examples.SERVICES:
            if service in {examples.RELAY, examples.FRONT} and service.needed_by.search(self._configuration(text)):
                self._start_service(command, service)
        listen = LISTEN.search(found["options"])
        address = listen[1] if listen else ADDRESSES[kind]
        process = self._host.start(text, self._log_name(command))
        self._servers[kind] = command, process
        self._wait(command, process, address, "relay is up" if kind == "run" else None)

    def _configuration(self, text: str) -> str:
        """Return the text of the configuration that a command names, to see which relays it needs."""
        named = re.search(r"--config[ =](\S+)", text)
        path = self._host.path(named[1] if named else "config.yaml")
        return path.read_text("utf-8") if path.is_file() else ""

    def _start_service(self, command: Command, service: Service) -> None:
        if service.name in self._services or self._host.listens(service.address):
            return
        log = f"{service.name.replace(' ', '-')}.log"
        process = self._host.start(service.command, log)
        self._services[service.name] = process
        self._wait(command, process, service.address, service.ready, log)
        if self._slow and service.until is not None:
            self._host.run(f"until {service.until}; do sleep 1; done", PATIENT).check_returncode()

    def _wait(
        self,
        command: Command,
        process: subprocess.Popen[bytes],
        address: str,
        ready: str | None,
        log: str | None = None,
    ) -> None:
        """Wait until a process listens, and its log has the expression `ready`."""
        deadline = time.monotonic() + START_TIMEOUT
        path = self._folder / (log or self._log_name(command))
        while not (self._host.listens(address) and re.search(ready or "", path.read_text("utf-8", "replace"))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(command, f"nothing listens on {address}", path.read_text("utf-8", "replace"))
            time.sleep(POLL)

    def _log_name(self, command: Command) -> str:
        return re.sub(r"\W+", "-", command.where) + ".log"

    def _log(self, command: Command) -> str:
        return (self._folder / self._log_name(command)).read_text("utf-8", "replace")


def _only_reads(text: str) -> bool:
    return re.search(r"relay-monitor (?:check|status|schema|maintenance list)\b[^>|&;]*$", text) is not None
