"""What a relay or a proxy says may quote what it was told. Before its words go further, our secrets are taken out."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from monitor.wire.events import Dropped, Event, Replied, Unsubscribed

if TYPE_CHECKING:
    from monitor.relay.proxy import Proxy
    from monitor.relay.target import Target

LEAST: Final = 4
"""Characters of a secret that is looked for: one that is shorter would be found in every other word."""

PART: Final = 8
"""Characters of a secret's beginning that are taken out at the end of a text."""

HIDDEN: Final = "***"


def secrets_of(target: Target, token: str | None, proxy: Proxy | None) -> tuple[str, ...]:
    """All that is told on the way into a relay and nobody else's business, longest first."""
    headers = [value for _, value in target.headers]
    if proxy is not None and proxy.authorization is not None:
        headers.append(proxy.authorization)
    # Of "Bearer abc" the second word is the secret, and of "Basic abc" what it stands for too.
    told = headers + [value.partition(" ")[2] for value in headers] + [_password(value) for value in headers]
    told += _queried(urlsplit(target.url).query)
    if token is not None:
        told.append(token)
    return tuple(sorted({value for value in told if len(value) >= LEAST}, key=len, reverse=True))


def _password(header: str) -> str:
    """The password in a header's value, "" where there is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _queried(query: str) -> list[str]:
    """The secrets of a query as they are sent and as they are meant: its values, and keys that have none."""
    parts = [value or key for key, _, value in (part.partition("=") for part in query.split("&"))]
    return [query, *parts, *map(unquote, parts), *map(unquote_plus, parts)]


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without them, whole or, where the text was cut off within one, in part."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
        for length in range(min(len(secret) - 1, len(text)), PART - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + HIDDEN
                break
    return text


def cleaned(event: Event, secrets: tuple[str, ...]) -> Event:
    """An event whose words, if it has any of the relay's, are without them."""
    if isinstance(event, Replied):  # by far the most frequent, and nearly always without words
        if event.error is None:
            return event
        return event._replace(error=replace(event.error, message=clean(event.error.message, secrets)))
    if isinstance(event, (Dropped, Unsubscribed)):
        return replace(event, reason=clean(event.reason, secrets))
    return event
