"""Every command of the documentation does what its page says, or is at least one that its program accepts."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.docs import examples
from tests.docs.blocks import SHELL, Block, commands_of, pages, read_blocks
from tests.docs.pages import IN_CI, readings
from tests.docs.reader import CommandError, Reader, Treatment
from tests.docs.usage import faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

READINGS = {page: blocks for page, blocks in readings().items() if page in IN_CI}
LEFT_OUT = {
    "docs/quick-start.md": {".venv/bin/relay-monitor once"},
    "docs/watch-your-relay.md": {".venv/bin/relay-monitor drill"},
}
"""What CI does not execute of the pages that it reads: each takes half a minute."""

COMMANDS = [
    command
    for path in pages()
    for block in read_blocks(path)
    if block.language in SHELL
    for command in commands_of(block)
]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, and util-linux")
    return Reader(tmp_path, slow=False)


@pytest.mark.required_as_root("namespaces")
@pytest.mark.parametrize("page", READINGS)
def test_the_commands_of_a_page_work(page: str, reader: Reader) -> None:
    with reader:
        treated = reader.read(READINGS[page])
    assert Treatment.EXECUTED in {one.treatment for one in treated}
    left_out = {one.command.text for one in treated if one.treatment is Treatment.CHECKED}
    assert left_out == LEFT_OUT.get(page, set())


def test_the_pages_that_ci_reads_exist() -> None:
    assert READINGS.keys() == IN_CI


def test_every_command_is_one_that_its_program_accepts() -> None:
    assert len(COMMANDS) > 100
    assert [f"{command.where}: {fault}" for command in COMMANDS for fault in faults(command.text)] == []


@pytest.mark.parametrize("pattern", examples.SHORTER)
def test_a_command_that_takes_minutes_is_executed_in_a_shorter_form(pattern: str) -> None:
    """No pattern is left of a command that the pages no longer have; what is executed is accepted, too."""
    found = [command.text for command in COMMANDS if re.search(pattern, command.text)]
    assert found != []
    assert [fault for text in found for fault in faults(examples.shortened(text))] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("relay-monitor check --confg x.yaml", "--confg"),
        ("LOCATION=fra relay-monitor chek", "no command chek"),
        ("relay-monitor maintenance start --all --for 5m", "--reason"),
        ("cd x && .venv/bin/relay-monitor load --target embedded --scenario storm", "storm"),
        ("relay-monitor status > x.json; make tset", "no target tset"),
        ("docker build --file deploy/Dockerfile .", "deploy/Dockerfile does not exist"),
        ("python -m bench.nothing", "no module bench.nothing"),
        ("if true; then", "syntax error"),
    ],
)
def test_a_wrong_command_is_not_accepted(command: str, fault: str) -> None:
    assert fault in " ".join(faults(command))


@pytest.mark.required_as_root("namespaces")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$ ls missing\n", "docs/page.md:2: exited with 2; expected 0"),
        ("$ echo one\ntwo\n", "did not print 'two' in its place"),
        ("$ RELAY_MONITOR_LISTEN=nowhere relay-monitor run\n", "nothing listens on 127.0.0.1:9464"),
    ],
)
def test_a_command_that_does_something_else_fails(text: str, why: str, reader: Reader) -> None:
    with pytest.raises(CommandError, match=why), reader:
        reader.read([Block(page="docs/page.md", line=1, language="console", text=text)])


@pytest.mark.required_as_root("namespaces")
def test_a_reader_changes_nothing_outside_of_their_machine(reader: Reader, tmp_path: Path) -> None:
    """Variables and the folder last from one command to the next."""
    text = f"export NAME=x\nmkdir {tmp_path}/made && cd {tmp_path}/made\ntouch $NAME /etc/$NAME\nls x /etc/x\n"
    with reader:
        treated = reader.read([Block(page="docs/page.md", line=1, language="sh", text=text)])
    assert len(treated) == 4
    assert not (tmp_path / "made").exists()
