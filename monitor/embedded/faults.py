"""Faults that the embedded relay makes on demand: what, where, how often. Values, and their form on a command line.

A spec is a kind and, after a colon, keys: `drop:channel=session,probability=0.1`, `silent:at=hello`,
`close:at=publish,code=3004,count=1`. `parse` reads one; `KINDS` says what each does and which keys it knows besides
those that every fault has.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.embedded.namespaces import PRODUCTION

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(StrEnum):
    """Where a fault strikes: a step of getting in, a command, or a publication on its way to a subscriber."""

    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    HELLO = "hello"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    HISTORY = "history"
    PUSH = "push"
    PING = "ping"


COMMANDS: Final = (Stage.HELLO, Stage.SUBSCRIBE, Stage.PUBLISH, Stage.HISTORY)
PUBLICATIONS: Final = (Stage.PUSH,)
ANYWHERE: Final = (Stage.TCP, Stage.TLS, Stage.UPGRADE, *COMMANDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a kind does, the stages it may strike at (the first is meant where none is given), and its own keys."""

    does: str
    stages: tuple[Stage, ...]
    keys: tuple[str, ...] = ()


KINDS: Final[Mapping[str, Meaning]] = {
    "drop": Meaning(does="a publication is stored and never pushed", stages=PUBLICATIONS),
    "delay": Meaning(
        does="a publication, or a reply, comes `by` seconds late",
        stages=(*PUBLICATIONS, *COMMANDS),
        keys=("by",),
    ),
    "duplicate": Meaning(does="a publication is pushed twice", stages=PUBLICATIONS),
    "reorder": Meaning(
        does="a publication is pushed after the next one of its channel, or after `by` seconds; a history reply shows "
        "them stored in the opposite order",
        stages=(*PUBLICATIONS, Stage.HISTORY),
        keys=("by",),
    ),
    "corrupt": Meaning(does="one character of a publication's payload is another one", stages=PUBLICATIONS),
    "truncate": Meaning(does="a publication's data ends in the middle", stages=PUBLICATIONS),
    "misroute": Meaning(does="a publication is also pushed on some other session's channel", stages=PUBLICATIONS),
    "unstored": Meaning(does="a publish is acked, and neither stored nor pushed", stages=(Stage.PUBLISH,)),
    "unacked": Meaning(does="a publish is stored and pushed, and never acked", stages=(Stage.PUBLISH,)),
    "silent": Meaning(
        does="nothing is said any more at that stage, and nothing is done", stages=(Stage.HELLO, *ANYWHERE)
    ),
    "status": Meaning(
        does="the upgrade is answered with the HTTP status `code`; 429 and 503 ask to come back after `by` seconds",
        stages=(Stage.UPGRADE,),
        keys=("code", "by"),
    ),
    "error": Meaning(does="a command is answered with the error `code`", stages=COMMANDS, keys=("code",)),
    "close": Meaning(does="the connection is closed with `code`", stages=(*COMMANDS, Stage.PUSH), keys=("code",)),
    "reset": Meaning(does="the connection is cut without a word", stages=(*COMMANDS, Stage.PUSH)),
    "unsubscribe": Meaning(
        does="the client is told that it is unsubscribed, with `code`", stages=PUBLICATIONS, keys=("code",)
    ),
    "epoch": Meaning(does="the reply names an epoch that is not the stream's", stages=(Stage.SUBSCRIBE, Stage.HISTORY)),
    "offset": Meaning(does="the reply names an offset far ahead", stages=(Stage.SUBSCRIBE, Stage.HISTORY)),
    "forget": Meaning(
        does="the channel's stream is forgotten before the command is done",
        stages=(Stage.SUBSCRIBE, Stage.HISTORY, Stage.PUBLISH),
    ),
    "pings": Meaning(does="no ping is sent", stages=(Stage.PING,)),
    "junk": Meaning(does="the reply is text that is not JSON", stages=COMMANDS),
    "garbage": Meaning(does="the reply is bytes that are no WebSocket frame", stages=COMMANDS),
    "oversize": Meaning(does="the reply is a frame of `bytes` bytes", stages=COMMANDS, keys=("bytes",)),
    "endless": Meaning(does="the reply is a message whose fragments never end", stages=COMMANDS),
    "binary": Meaning(does="the reply comes in a binary frame", stages=COMMANDS),
    "drip": Meaning(does="the reply comes one byte every `by` seconds", stages=COMMANDS, keys=("by",)),
}

CODES: Final = {"status": 503, "error": 100, "close": 3000, "unsubscribe": 2500}
"""The code that a kind uses where none is given."""


ALLOWED_CODES: Final = {"status": range(400, 506), "close": range(3000, 5000), "unsubscribe": range(2000, 3000)}
"""What the code of a kind may be, where not every number will do."""

_NOT_KNOWN: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.TCP: ("channel", "to", "sender"),
    Stage.TLS: ("channel", "to", "sender"),
    Stage.UPGRADE: ("channel",),
    Stage.HELLO: ("channel",),
    Stage.PING: ("channel", "sender"),
}
"""What is not known where a fault strikes, so that none can be chosen by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Times are seconds since the plan was made.

    `to` and `sender` are sides as clients name themselves in the header X-Side.
    Of what it could strike it skips the first `skip`, then strikes each with `probability`, `count` times at most.
    """

    kind: str
    at: Stage
    channel: str | None = None  # a namespace: handshake or session
    to: str | None = None  # the side whose connection it is
    sender: str | None = None  # the side that published
    probability: float = 1.0
    skip: int = 0
    count: int | None = None
    after: float = 0.0
    until: float = float("inf")
    by: float = 1.0
    code: int = 0
    bytes: int = 2 << 20

    @classmethod
    def make(cls, kind: str, **keys: object) -> Fault:
        """A fault of a kind, at its usual stage and with its usual code. Raises `ValueError`."""
        meaning = KINDS.get(kind)
        if meaning is None:
            raise ValueError(f"{kind!r} is no kind of fault; there are {', '.join(KINDS)}")
        at = Stage(str(keys.pop("at", meaning.stages[0])))
        if at not in meaning.stages:
            raise ValueError(f"{kind} cannot strike at {at}; it can at {', '.join(dict.fromkeys(meaning.stages))}")
        for key in _NOT_KNOWN.get(at, ()):
            if keys.get(key) is not None:
                raise ValueError(f"{kind} cannot have {key} at {at}: nothing there has one; leave it out")
        keys.setdefault("code", CODES.get(kind, 0))
        codes = ALLOWED_CODES.get(kind)
        if codes is not None and keys["code"] not in codes:
            raise ValueError(f"{kind} cannot have code={keys['code']}; it takes {codes[0]} to {codes[-1]}")
        fault = cls(kind=kind, at=at, **keys)  # type: ignore[arg-type]  # checked by `parse`, or by the caller's eyes
        if fault.until <= fault.after:
            raise ValueError(f"until={fault.until:g} is no later than after={fault.after:g}; it would never strike")
        return fault


_COMMON: Final = ("at", "channel", "to", "sender", "probability", "skip", "count", "after", "until")
_CHANNELS: Final = tuple(namespace.name for namespace in PRODUCTION)
_NUMBERS: Final = {"skip": int, "count": int, "code": int, "bytes": int}


def parse(spec: str) -> Fault:
    """A fault from its text form. Raises `ValueError` that says what is wrong and what is allowed."""
    kind, _, rest = spec.partition(":")
    meaning = KINDS.get(kind)
    if meaning is None:
        raise ValueError(f"{kind!r} is no kind of fault; there are {', '.join(KINDS)}")
    allowed = (*_COMMON, *meaning.keys)
    keys: dict[str, object] = {}
    for pair in rest.split(",") if rest else ():
        key, equals, value = pair.partition("=")
        if not equals or key not in allowed:
            raise ValueError(f"{pair!r} is no key of {kind}; it takes {', '.join(f'{name}=…' for name in allowed)}")
        if key in keys:
            raise ValueError(f"{key} is given twice")
        keys[key] = _value(key, value)
    try:
        return Fault.make(kind, **keys)
    except ValueError as error:
        if "is not a valid Stage" in str(error):
            names = ", ".join(dict.fromkeys(meaning.stages))
            raise ValueError(f"{kind} cannot strike at {keys['at']!r}; it can at {names}") from None
        raise


def _value(key: str, text: str) -> object:
    if key in {"at", "channel", "to", "sender"}:
        if not text:
            raise ValueError(f"{key} is empty")
        if key == "channel" and text not in _CHANNELS:
            raise ValueError(f"{text!r} is no namespace of channels; there are {', '.join(_CHANNELS)}")
        return text
    try:
        number = _NUMBERS.get(key, float)(text)
    except ValueError:
        raise ValueError(f"{key}={text} is no number") from None
    if not 0 <= number < float("inf") or (key == "probability" and number > 1):
        raise ValueError(f"{key}={text} is out of range; expected {'0 to 1' if key == 'probability' else '0 or more'}")
    return number


def show(fault: Fault) -> str:
    """A fault as `parse` reads it."""
    usual = Fault.make(fault.kind)
    changed = [
        f"{item.name}={getattr(fault, item.name)}"
        for item in fields(Fault)
        if item.name != "kind" and getattr(fault, item.name) != getattr(usual, item.name)
    ]
    return f"{fault.kind}:{','.join(changed)}" if changed else fault.kind
