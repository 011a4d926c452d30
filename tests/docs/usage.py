"""Check commands without executing them: the shell's syntax, the program's options, the targets of make, the files."""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import typer
import typer.main

from monitor.cli import app
from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSIGNMENT: Final = re.compile(r"\w+=")
SEPARATORS: Final = frozenset({"&&", "||", "|", ";", "&", "<", ">", ">>", "2>"})
SHIPPED: Final = re.compile(r"(?:deploy|bench|tests)/[\w./-]+")
USAGE_ERROR: Final[type[Any]] = typer.BadParameter.__bases__[0]  # which typer does not export
MODULE: Final = re.compile(r"python -m ((?:bench|tests|monitor)[\w.]*)")


def faults(text: str) -> list[str]:
    """Return what is wrong with a command, as far as that can be said without executing it."""
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
    found = [done.stderr.strip()] if done.returncode else []
    for words in _simple_commands(text):
        program = words[0].rpartition("/")[2]
        if program == "relay-monitor":
            found += _usage(words[1:])
        if program == "make":
            found += [f"make has no target {word}" for word in words[1:] if "=" not in word and word not in _targets()]
    found += [f"{path} does not exist" for path in SHIPPED.findall(text) if not (ROOT / path).exists()]
    for module in MODULE.findall(text):
        path = ROOT / module.replace(".", "/")
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
            found.append(f"there is no module {module}")
    return found


def _simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a list or a pipe, without its variables and redirections."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in SEPARATORS:
            if words:
                yield words
            words = []
        elif words or not ASSIGNMENT.match(word):
            words.append(word)


def _usage(arguments: list[str]) -> Iterator[str]:
    """Yield what the program's own parser says of its arguments."""
    command = _program()
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        if name not in command.commands:
            yield f"relay-monitor has no command {name}"
            return
        command = command.commands[name]
    if hasattr(command, "commands"):
        # Options of the whole program act when they are parsed: one writes a file for the shell.
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        yield from (f"relay-monitor has no option {word}" for word in arguments if word not in known)
        return
    try:
        command.make_context(command.name, list(arguments))
    except typer.Exit:
        pass
    except USAGE_ERROR as error:
        yield error.format_message()


@cache
def _targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@cache
def _program() -> Any:
    return typer.main.get_command(app)
