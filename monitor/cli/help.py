"""Help texts: commands and options by topic, and examples.

A topic is the `rich_help_panel` of a command or option. Examples are the last paragraph of a command's docstring, which
begins with `Examples:`; they are shown as written, after the options.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXAMPLES: Final = "\n\nExamples:\n"


class _Examples:
    """A command or group whose help ends with the examples of its docstring."""

    def __init__(self, name: str | None = None, **settings: Any) -> None:
        text, _, examples = inspect.cleandoc(settings.get("help") or "").partition(EXAMPLES)
        super().__init__(name=name, **settings | {"help": text})  # type: ignore[call-arg] # of click's command
        self.examples = inspect.cleandoc(examples).splitlines()

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)  # type: ignore[misc] # likewise
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"  {line}\n" if line else "\n")


class Command(_Examples, TyperCommand):
    """A command whose help has its options by topic, and its examples at the end."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, a section for each topic."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is not None:
                for topic in self.topics(param):
                    sections.setdefault(topic, []).append(record)
        _write(formatter, sections)

    def topics(self, param: Any) -> list[str]:
        """Return the sections that have a parameter."""
        default = "Arguments" if param.param_type_name == "argument" else "Options"
        return [getattr(param, "rich_help_panel", None) or default]


class Group(_Examples, TyperGroup):
    """Commands by topic, in the order in which they were added; examples at the end."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - of the base class
        """Write the commands, a section for each topic."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                topic = getattr(command, "rich_help_panel", None) or "Commands"
                sections.setdefault(topic, []).append((name, command.get_short_help_str(formatter.width)))
        _write(formatter, sections)


def _write(formatter: Any, sections: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write each section; the first column of all is equally wide."""
    width = max(len(first) for records in sections.values() for first, _ in records)
    for topic, records in sections.items():
        with formatter.section(topic):
            formatter.write_dl([(first.ljust(width), second) for first, second in records])
