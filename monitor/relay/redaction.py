"""Remove secrets from what a relay or a proxy says, which may quote the request."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from monitor.wire.events import Dropped, Event, Replied, Unsubscribed

if TYPE_CHECKING:
    from monitor.relay.proxy import Proxy
    from monitor.relay.target import Target

MIN_SECRET_LENGTH: Final = 4
"""Shorter secrets are not searched for: they would match ordinary words."""

MIN_PREFIX_LENGTH: Final = 8
"""Shortest beginning of a secret that is removed at the end of a truncated text."""

MAX_SECRETS: Final = 200
"""Number of secrets that a client remembers, over all refreshed tokens."""

REDACTED: Final = "***"


def secrets_of(target: Target, token: str | None, proxy: Proxy | None) -> tuple[str, ...]:
    """Return the secrets sent while connecting: header values, query, token and proxy credentials, longest first."""
    headers = [value for _, value in target.headers]
    if proxy is not None and proxy.authorization is not None:
        headers.append(proxy.authorization)
    # "Bearer abc" contains the secret "abc"; "Basic abc" also its decoded password.
    values = headers + [value.partition(" ")[2] for value in headers] + [_password(value) for value in headers]
    values += _query_secrets(urlsplit(target.url).query)
    if token is not None:
        values.append(token)
    return tuple(sorted({value for value in values if len(value) >= MIN_SECRET_LENGTH}, key=len, reverse=True))


def _password(header: str) -> str:
    """Return the password of a Basic authorization header, or an empty string."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _query_secrets(query: str) -> list[str]:
    """Return the values of a query, and its keys without a value, both encoded and decoded."""
    parts = [value or key for key, _, value in (part.partition("=") for part in query.split("&"))]
    return [query, *parts, *map(unquote, parts), *map(unquote_plus, parts)]


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without the secrets, including a secret truncated at its end."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
        for length in range(min(len(secret) - 1, len(text)), MIN_PREFIX_LENGTH - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + REDACTED
                break
    return text


def redact_event(event: Event, secrets: tuple[str, ...]) -> Event:
    """Return the event with the secrets removed from the relay's texts."""
    if isinstance(event, Replied):  # the most frequent event; only an error reply carries text
        if event.error is None:
            return event
        return event._replace(error=replace(event.error, message=redact(event.error.message, secrets)))
    if isinstance(event, (Dropped, Unsubscribed)):
        return replace(event, reason=redact(event.reason, secrets))
    return event
