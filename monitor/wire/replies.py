"""Parts of a relay's frames that are news as they stand, and change nothing in a connection's state.

All raise KeyError, TypeError, ValueError or AttributeError for a shape that is none of the protocol's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.wire.codes import TEMPORARY_ERRORS
from monitor.wire.commands import History, Json, Position
from monitor.wire.events import ErrorReply, HistoryRead, MessagePushed, Presented
from monitor.wire.framing import words
from monitor.wire.subscriptions import publications_of

if TYPE_CHECKING:
    from monitor.wire.events import Event


def history_read(identifier: int, command: History, body: dict[str, Json], took: float, now: float) -> HistoryRead:
    """A history reply."""
    return HistoryRead(
        id=identifier,
        channel=command.channel,
        publications=tuple(publications_of(command.channel, body, now)),
        position=Position(epoch=str(body.get("epoch", "")), offset=int(body.get("offset", 0))),
        took=took,
        at=now,
    )


def refusal(error: dict[str, Json]) -> ErrorReply:
    """A relay's "no" to one command."""
    code = int(error["code"])
    temporary = bool(error.get("temporary")) or code in TEMPORARY_ERRORS
    return ErrorReply(code=code, message=words(error.get("message", "")), temporary=temporary)


def other_push(push: dict[str, Json], now: float) -> Event | None:
    """A push of someone who joined or left, or of a message; None for any other."""
    if "message" in push:
        return MessagePushed(data=push["message"].get("data"), at=now)
    if "join" not in push and "leave" not in push:
        return None
    info = (push.get("join") or push.get("leave") or {}).get("info") or {}
    client = str(info.get("client", ""))
    return Presented(channel=push.get("channel", ""), client=client, joined="join" in push, at=now)
