"""Events of replies and pushes that do not change a connection's state.

All functions raise KeyError, TypeError, ValueError or AttributeError for a body that is invalid.
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
    """Return the event of a history reply."""
    return HistoryRead(
        id=identifier,
        channel=command.channel,
        publications=tuple(publications_of(command.channel, body, now)),
        position=Position(epoch=str(body.get("epoch", "")), offset=int(body.get("offset", 0))),
        took=took,
        at=now,
    )


def refusal(error: dict[str, Json]) -> ErrorReply:
    """Return the error of an error reply."""
    code = int(error["code"])
    temporary = bool(error.get("temporary")) or code in TEMPORARY_ERRORS
    return ErrorReply(code=code, message=words(error.get("message", "")), temporary=temporary)


def other_push(push: dict[str, Json], now: float) -> Event | None:
    """Return the event of a join, leave or message push; None for other pushes."""
    if "message" in push:
        return MessagePushed(data=push["message"].get("data"), at=now)
    if "join" not in push and "leave" not in push:
        return None
    info = (push.get("join") or push.get("leave") or {}).get("info") or {}
    client = str(info.get("client", ""))
    return Presented(channel=push.get("channel", ""), client=client, joined="join" in push, at=now)
