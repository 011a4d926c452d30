"""Write docs/cli.md from the commands: `python -m monitor.cli.reference [--check]`.

The page is made from the options themselves and not from `--help`, whose lines depend on the width of the terminal.
"""

from __future__ import annotations

import sys
import textwrap
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer.main

from monitor.cli import app
from monitor.generated_files import markdown_table, write_or_check
from monitor.scenarios import LOAD_FLAGS, SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TARGET: Final = Path("docs/cli.md")

FAILURES: Final = {
    "status": "a relay is down, not accepting or unknown, or the monitor is unhealthy",
    "once": "a probe failed",
    "drill": "no notification arrived, or the drill was cancelled by somebody else",
    "report": "an objective was missed",
    "init": "no message was delivered, and the file was not written",
    "generate": "with `--check`, a file differs",
    "load": "an objective was missed, or nothing succeeded",
    "merge": "an objective was missed, or a worker is missing",
    "compare": "a figure became worse",
    "maintenance end": "no such window was open",
}
"""What exit status 1 means, of each command that has it."""

_STATUSES: Final = {"maintenance end": "0, 1"}
"""What the examples exit with, for the tests that execute them, where one is not 0: its window has ended before."""

_INTRODUCTION: Final = """\
<!-- Written by `python -m monitor.cli.reference` from the commands in monitor/cli/. Edit those. -->

# Command reference

`relay-monitor --help` lists the commands, `relay-monitor COMMAND --help` has what this page says of one.
`relay-monitor --version` prints the version. [Installation](installation.md) says which commands need an
[extra](installation.md#extras), and how a shell [completes](installation.md#completion-in-the-shell) them.

Results go to stdout, logs and errors to stderr. A table is as wide as the terminal; `--output json` is for programs.
An option that may be repeated is given once for each value. A variable of the environment, where one is named, is
used if the option is missing. A TIME or DURATION is written as [in the configuration](configuration.md), such as
`500ms`, `20m` or `8h`; `load` takes seconds without a unit too.

| exit status | meaning |
| --- | --- |
| 0 | success |
| 1 | the verdict is bad; each command below says what that is. Also a bug of this program, with a traceback |
| 2 | wrong usage or configuration, no response from the monitor or Prometheus, results that cannot be written |
| 130 | interrupted by Ctrl-C; for `once`, `init` and `load` also by SIGTERM |
| 141 | the reader of stdout has gone |

In the examples `prod.yaml` is a configuration of yours, `old.yaml` the one before a change, and `k7m2xq` the
id that `maintenance start` has printed.
"""


def render() -> str:
    """Return the whole reference, as Markdown."""
    commands = dict(commands_of(typer.main.get_command(app)))
    topics: dict[str, list[str]] = {}
    for name in commands:
        topics.setdefault(commands[name.partition(" ")[0]].rich_help_panel, []).append(name)
    parts = [_INTRODUCTION]
    for topic, names in topics.items():
        parts.append(f"## {topic}\n")
        parts += [_section(name, commands[name]) for name in names]
    return "\n".join(parts)


def commands_of(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each visible command with its name, groups too."""
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{path}{name}", command
            if hasattr(command, "commands"):
                yield from commands_of(command, f"{path}{name} ")


def _section(name: str, command: Any) -> str:
    lines = [f"### `relay-monitor {name}`", ""]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [textwrap.fill(" ".join(paragraph.split()), 120), ""]
    tables: dict[str, list[tuple[str, ...]]] = {"": []}
    for param in command.params:
        tables.setdefault(param.rich_help_panel or "", []).append(_row(param))
    for topic, rows in tables.items():
        if not rows:
            continue
        lines += [f"{topic}:", ""] if topic else []
        lines.append(markdown_table(("option", "value", "default", "meaning"), rows))
    if name in FAILURES:
        lines += [f"Exit status 1: {FAILURES[name]}.", ""]
    if command.examples:
        lines += [f"<!-- exits: {_STATUSES[name]} -->"] if name in _STATUSES else []
        lines += ["```console", *map(_prompted, command.examples), "```", ""]
    return "\n".join(lines)


def _prompted(line: str) -> str:
    """Return a line of the examples, with a prompt if it begins a command."""
    return line if line.startswith(" ") else f"$ {line}"


def _row(param: Any) -> tuple[str, ...]:
    is_argument = param.param_type_name == "argument"
    names = [] if is_argument else sorted(param.opts, key=len, reverse=True)
    name = ", ".join(f"`{name}`" for name in names) or f"`{param.metavar}`"
    value = f"`{param.metavar}`" if param.metavar and not is_argument else ""
    return name, value, _default(param), _meaning(param)


def _default(param: Any) -> str:
    if param.required:
        return "**required**"
    values = param.default if isinstance(param.default, list | tuple) else [param.default]
    shown = [_written(value) for value in values if value is not None and value is not False]
    return ", ".join(f"`{text}`" for text in shown if text)


def _written(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return value.as_posix() if isinstance(value, Path) else str(value)


def _meaning(param: Any) -> str:
    sentences = [(param.help or "").rstrip(".") + "."]
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    if low is not None:
        sentences.append(f"From {_number(low)}." if high is None else f"{_number(low)} to {_number(high)}.")
    if getattr(param, "multiple", False) and "repeat" not in sentences[0]:
        sentences.append("May be repeated.")
    if param.envvar:
        sentences.append(f"Variable: `{param.envvar}`.")
    if param.name in LOAD_FLAGS:
        users = [name.value for name, spec in SPECS.items() if param.name in (spec.load_flags or ())]
        sentences.append(f"Only for scenario {', '.join(users)}.")
    return " ".join(sentences)


def _number(value: float) -> str:
    return f"{value:,.10g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or only compare it with `--check`. Returns the exit status."""
    return write_or_check({TARGET: render()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
