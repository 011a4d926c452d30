"""The flags of `load`: parsers of their values, the scenarios that use them, and their help."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import typer

from monitor.cli.help import Command
from monitor.scenarios import LOAD_FLAGS, SPECS


class Crypto(StrEnum):
    """Encryption of messages."""

    REAL = "real"
    MOCK = "mock"


class LoadCommand(Command):
    """The command `load`, whose help has a section for each scenario with the flags that only some scenarios have."""

    def topics(self, param: Any) -> list[str]:
        """Return the scenarios that have a flag, or its own topic if all have it."""
        if param.name not in LOAD_FLAGS:
            return super().topics(param)
        return [f"Load of {name.value}" for name, spec in SPECS.items() if param.name in (spec.load_flags or ())]


def seconds_of(text: str) -> float:
    """Parse seconds (`60`) or a duration (`5m`). Raises `BadParameter`."""
    from monitor.config import parse_duration  # noqa: PLC0415

    try:
        value = float(text)
    except ValueError:
        try:
            value = parse_duration(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a time; expected seconds, such as 60, or 500ms, 5m") from None
    if not 0 <= value <= 7 * 86_400:
        raise typer.BadParameter(f"{text!r} is out of range; expected 0 to 7 days")
    return value


def positive_seconds_of(text: str) -> float:
    """Parse seconds or a duration above 0. Raises `BadParameter`."""
    value = seconds_of(text)
    if value <= 0:
        raise typer.BadParameter(f"{text!r} is out of range; expected more than 0")
    return value


def share_of(text: str) -> float:
    """Parse a percentage, with or without `%`, into a ratio. Raises `BadParameter`."""
    from decimal import InvalidOperation  # noqa: PLC0415

    from monitor.load.verdict import unscaled  # noqa: PLC0415

    try:
        value = unscaled(text.removesuffix("%"), 100)
    except InvalidOperation:
        value = -1.0
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is not a percentage above 0, up to 100, such as 99.9")
    return value


def worker_of(text: str) -> tuple[int, int]:
    """Parse `I/N` into index and count. Raises `BadParameter`."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count) <= 1000):  # noqa: PLR2004
        raise typer.BadParameter(f"{text!r} is not I/N with 0 ≤ I < N ≤ 1000, such as 0/4")
    return int(index), int(count)


def target_of(text: str) -> str:
    """Parse a relay's URL, or `embedded`. Raises `BadParameter`."""
    from pydantic import ValidationError  # noqa: PLC0415

    from monitor.config import RelayConfig  # noqa: PLC0415

    try:
        return RelayConfig(name="target", url=text).url
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def test_id_of(text: str) -> str:
    """Parse the id of a load test. Raises `BadParameter`."""
    if not re.fullmatch(r"[\w.:-]{1,64}", text, re.ASCII):
        raise typer.BadParameter(f"{text!r} is not 1–64 letters, digits, and _ . : -")
    return text


def gateway_of(text: str) -> str:
    """Parse the URL of a push gateway. Raises `BadParameter`."""
    from pydantic import HttpUrl, TypeAdapter, ValidationError  # noqa: PLC0415

    try:
        return str(TypeAdapter(HttpUrl).validate_python(text)).rstrip("/")
    except ValidationError:
        raise typer.BadParameter(f"{text!r} is not a URL such as http://gateway:9091") from None


def listen_of(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`. Raises `BadParameter`."""
    from monitor.config.fields import split_host_port  # noqa: PLC0415

    try:
        return split_host_port(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None
