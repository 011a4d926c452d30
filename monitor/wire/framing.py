"""Encode and decode text frames, within limits.

One frame holds one or more JSON objects separated by newlines (Centrifuge client protocol, JSON form).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NoReturn

from monitor.jsontext import reader
from monitor.vocabulary import Reason
from monitor.wire.commands import Publish

if TYPE_CHECKING:
    from monitor.wire.commands import Command, Json

MAX_OBJECTS = 10_000
"""Largest number of objects in one frame."""


class FrameError(Exception):
    """An invalid frame; `reason` is `protocol` or `too_large`. Raised and handled within `wire/`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


MAX_TEXT: Final = 200
"""Characters kept of a relay's text."""


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_parse = reader(_refuse_constant)
_STRING = json.encoder.encode_basestring
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def words(text: Json) -> str:
    """Return a relay's text for logs and pages: at most `MAX_TEXT` characters, encodable as UTF-8."""
    return str(text)[:MAX_TEXT].encode("utf-8", "replace").decode()


def encode(identifier: int, command: Command) -> str:
    """Return a command as one line of a frame."""
    if type(command) is Publish and type(command.data) is str:
        # The most frequent command, without the encoder's set-up for nested values.
        channel, data = _STRING(command.channel), _STRING(command.data)
        return f'{{"id":{identifier},"publish":{{"channel":{channel},"data":{data}}}}}'
    return _ENCODER.encode({"id": identifier, command.method: command.body()})


def decode(text: str) -> list[dict[str, Json]]:
    """Return the objects of one frame. Raises `FrameError` for an invalid frame."""
    try:
        if "\n" not in text:
            objects = [_parse(text)]
        elif text.count("\n") > MAX_OBJECTS:
            raise FrameError(Reason.TOO_LARGE, f"more than {MAX_OBJECTS} objects in one frame")
        else:
            objects = [_parse(line) for line in text.split("\n") if line]
    except RecursionError:
        raise FrameError(Reason.PROTOCOL, "JSON nested too deeply") from None
    except ValueError as error:
        # Malformed JSON, or an integer past Python's digit limit.
        raise FrameError(Reason.PROTOCOL, f"not JSON: {str(error)[:120]}") from None
    for item in objects:
        if type(item) is not dict:
            raise FrameError(Reason.PROTOCOL, f"expected an object, found {type(item).__name__}")
    return objects
