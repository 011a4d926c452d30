"""Faults that the embedded relay can inject, as values and as text.

A spec is a kind and, after a colon, keys: `drop:channel=session,probability=0.1`, `silent:at=hello`,
`close:at=publish,code=3004,count=1`. `parse` reads one. `KINDS` describes each kind and the keys it has besides the
common ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.embedded.namespaces import PRODUCTION

if TYPE_CHECKING:
    from collections.abc import Mapping


class FaultStep(StrEnum):
    """Step at which a fault applies: a step of connecting, a command, or a push to a subscriber."""

    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    HELLO = "hello"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    HISTORY = "history"
    PUSH = "push"
    PING = "ping"


COMMANDS: Final = (FaultStep.HELLO, FaultStep.SUBSCRIBE, FaultStep.PUBLISH, FaultStep.HISTORY)
PUBLICATIONS: Final = (FaultStep.PUSH,)
CONNECT_AND_COMMANDS: Final = (FaultStep.TCP, FaultStep.TLS, FaultStep.UPGRADE, *COMMANDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """Description of a kind, the steps it applies to (the first is the default), and its own keys."""

    does: str
    steps: tuple[FaultStep, ...]
    keys: tuple[str, ...] = ()


KINDS: Final[Mapping[str, FaultKind]] = {
    "drop": FaultKind(does="a publication is stored and never pushed", steps=PUBLICATIONS),
    "delay": FaultKind(
        does="a publication or a reply is delayed by `by` seconds",
        steps=(*PUBLICATIONS, *COMMANDS),
        keys=("by",),
    ),
    "duplicate": FaultKind(does="a publication is pushed twice", steps=PUBLICATIONS),
    "reorder": FaultKind(
        does="a publication is pushed after the next one of its channel, or after `by` seconds; a history reply shows "
        "them stored in the opposite order",
        steps=(*PUBLICATIONS, FaultStep.HISTORY),
        keys=("by",),
    ),
    "corrupt": FaultKind(does="one character of a publication's payload is replaced", steps=PUBLICATIONS),
    "truncate": FaultKind(does="a publication's data is cut in half", steps=PUBLICATIONS),
    "misroute": FaultKind(does="a publication is also pushed on another session's channel", steps=PUBLICATIONS),
    "unstored": FaultKind(does="a publish is acknowledged, but neither stored nor pushed", steps=(FaultStep.PUBLISH,)),
    "unacked": FaultKind(does="a publish is stored and pushed, but never acknowledged", steps=(FaultStep.PUBLISH,)),
    "silent": FaultKind(
        does="the step is never answered",
        steps=(FaultStep.HELLO, *CONNECT_AND_COMMANDS),
    ),
    "status": FaultKind(
        does="the upgrade is answered with the HTTP status `code`; 429 and 503 carry Retry-After: `by`, "
        "unless that is 0",
        steps=(FaultStep.UPGRADE,),
        keys=("code", "by"),
    ),
    "error": FaultKind(does="a command is answered with the error `code`", steps=COMMANDS, keys=("code",)),
    "close": FaultKind(does="the connection is closed with `code`", steps=(*COMMANDS, FaultStep.PUSH), keys=("code",)),
    "reset": FaultKind(does="the connection is dropped without a close frame", steps=(*COMMANDS, FaultStep.PUSH)),
    "unsubscribe": FaultKind(
        does="the client gets an unsubscribe push with `code`", steps=PUBLICATIONS, keys=("code",)
    ),
    "epoch": FaultKind(
        does="the reply has another epoch than the stream", steps=(FaultStep.SUBSCRIBE, FaultStep.HISTORY)
    ),
    "offset": FaultKind(
        does="the reply has an offset far ahead of the stream", steps=(FaultStep.SUBSCRIBE, FaultStep.HISTORY)
    ),
    "forget": FaultKind(
        does="the channel's stream is reset before the command is processed",
        steps=(FaultStep.SUBSCRIBE, FaultStep.HISTORY, FaultStep.PUBLISH),
    ),
    "pings": FaultKind(does="no ping is sent", steps=(FaultStep.PING,)),
    "junk": FaultKind(does="the reply is text that is not JSON", steps=COMMANDS),
    "garbage": FaultKind(does="the reply is not a WebSocket frame", steps=COMMANDS),
    "oversize": FaultKind(does="the reply is a frame of `bytes` bytes", steps=COMMANDS, keys=("bytes",)),
    "endless": FaultKind(does="the reply is a message whose fragments never end", steps=COMMANDS),
    "binary": FaultKind(does="the reply is a binary frame", steps=COMMANDS),
    "drip": FaultKind(does="the reply is sent one byte every `by` seconds", steps=COMMANDS, keys=("by",)),
}

CODES: Final = {"status": 503, "error": 100, "close": 3000, "unsubscribe": 2500}
"""Default code of a kind."""

ALLOWED_CODES: Final = {"status": range(400, 506), "close": range(3000, 5000), "unsubscribe": range(2000, 3000)}
"""Allowed codes of a kind."""

_UNAVAILABLE_KEYS: Final[Mapping[FaultStep, tuple[str, ...]]] = {
    FaultStep.TCP: ("channel", "to", "sender"),
    FaultStep.TLS: ("channel", "to", "sender"),
    FaultStep.UPGRADE: ("channel",),
    FaultStep.HELLO: ("channel",),
    FaultStep.PING: ("channel", "sender"),
}
"""Keys that a fault cannot be selected by, for each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `after` and `until` are seconds since the plan was created.

    `to` and `sender` are sides, as named by clients in the header X-Side. The fault skips the first `skip` matches,
    then applies to each with `probability`, at most `count` times.
    """

    kind: str
    at: FaultStep
    channel: str | None = None  # a namespace: handshake or session
    to: str | None = None  # side of the connection
    sender: str | None = None  # side of the publisher
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
        """Return a fault with the default step and code of its kind. Raises `ValueError`."""
        meaning = KINDS.get(kind)
        if meaning is None:
            raise ValueError(f"{kind!r} is not a kind of fault; expected one of {', '.join(KINDS)}")
        at = FaultStep(str(keys.pop("at", meaning.steps[0])))
        if at not in meaning.steps:
            raise ValueError(
                f"{kind} does not apply at {at}; expected one of {', '.join(dict.fromkeys(meaning.steps))}"
            )
        for key in _UNAVAILABLE_KEYS.get(at, ()):
            if keys.get(key) is not None:
                raise ValueError(f"{kind} cannot have {key} at {at}")
        keys.setdefault("code", CODES.get(kind, 0))
        codes = ALLOWED_CODES.get(kind)
        if codes is not None and keys["code"] not in codes:
            raise ValueError(f"{kind} cannot have code={keys['code']}; expected {codes[0]} to {codes[-1]}")
        fault = cls(kind=kind, at=at, **keys)  # type: ignore[arg-type]  # checked by `parse`
        if fault.until <= fault.after:
            raise ValueError(f"until={fault.until:g} is not later than after={fault.after:g}")
        return fault


_COMMON: Final = ("at", "channel", "to", "sender", "probability", "skip", "count", "after", "until")
_CHANNELS: Final = tuple(namespace.name for namespace in PRODUCTION)
_NUMBERS: Final = {"skip": int, "count": int, "code": int, "bytes": int}


def parse(spec: str) -> Fault:
    """Parse a fault. Raises `ValueError` that says what is wrong and what is allowed."""
    kind, _, suffix = spec.partition(":")
    meaning = KINDS.get(kind)
    if meaning is None:
        raise ValueError(f"{kind!r} is not a kind of fault; expected one of {', '.join(KINDS)}")
    allowed = (*_COMMON, *meaning.keys)
    keys: dict[str, object] = {}
    for pair in suffix.split(",") if suffix else ():
        key, equals, value = pair.partition("=")
        if not equals or key not in allowed:
            raise ValueError(f"{pair!r} is not a key of {kind}; expected {', '.join(f'{name}=…' for name in allowed)}")
        if key in keys:
            raise ValueError(f"{key} is given twice")
        keys[key] = _value(key, value)
    try:
        return Fault.make(kind, **keys)
    except ValueError as error:
        if "is not a valid FaultStep" in str(error):
            names = ", ".join(dict.fromkeys(meaning.steps))
            raise ValueError(f"{kind} does not apply at {keys['at']!r}; expected one of {names}") from None
        raise


def _value(key: str, text: str) -> object:
    if key in {"at", "channel", "to", "sender"}:
        if not text:
            raise ValueError(f"{key} is empty")
        if key == "channel" and text not in _CHANNELS:
            raise ValueError(f"{text!r} is not a channel namespace; expected one of {', '.join(_CHANNELS)}")
        return text
    try:
        number = _NUMBERS.get(key, float)(text)
    except ValueError:
        raise ValueError(f"{key}={text} is not a number") from None
    if not 0 <= number < float("inf") or (key == "probability" and number > 1):
        raise ValueError(f"{key}={text} is out of range; expected {'0 to 1' if key == 'probability' else '0 or more'}")
    return number


def show(fault: Fault) -> str:
    """Return a fault as text for `parse`."""
    default = Fault.make(fault.kind)
    changed = [
        f"{item.name}={getattr(fault, item.name)}"
        for item in fields(Fault)
        if item.name != "kind" and getattr(fault, item.name) != getattr(default, item.name)
    ]
    return f"{fault.kind}:{','.join(changed)}" if changed else fault.kind
