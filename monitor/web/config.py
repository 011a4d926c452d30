"""The web configuration: TLS and basic auth of the HTTP server, in Prometheus' format.

As in Prometheus, the environment is not expanded: `$` is a plain character, which bcrypt hashes contain. Settings that
Python cannot implement are errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from monitor.config.document import show_path
from monitor.config.fields import (
    THAWED,
    Duration,
    Kind,
    RedactedError,
    Section,
    checked,
    frozen,
    no_entries,
)
from monitor.config.loading import FileKind, parse_as, text_of
from monitor.config.problems import locate, suggestion
from monitor.errors import ConfigProblem, StartupError
from monitor.web.tls import server_context
from monitor.web.tls_config import VERIFYING, Flag, TlsServerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config.document import KeyPath, Node

MAX_COST: Final = 18
"""Highest cost of a bcrypt hash: some seconds of CPU for each check."""

MAX_USERS: Final = 100
_HASH: Final = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
_TLS: Final = "tls_server_config"


def _hash(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise RedactedError("is not a bcrypt hash ($2y$10$…); create one with `htpasswd -nBC 10 USER`")
    if not 4 <= int(found[1]) <= MAX_COST:  # noqa: PLR2004 - bcrypt's minimum
        raise RedactedError(f"has a cost of {int(found[1])}; expected 4 to {MAX_COST}: it delays each login")
    return SecretStr(str(value))


def _user(name: str) -> None:
    if not name or ":" in name or not name.isprintable():
        raise ValueError("is not a user's name; expected printable text without a colon")


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in given.items():
        if name not in _HEADERS:
            raise ValueError(f"has {name}, which cannot be set; {suggestion(name, _HEADERS)}")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"has a {name} that is not printable ASCII on one line")
        if value and _HEADERS[name] and value not in _HEADERS[name]:
            raise ValueError(f"has the {name} {value!r}; expected {' or '.join(_HEADERS[name])}")
    return frozen(given)


class HttpServerConfig(Section):
    """`http_server_config`. The server offers HTTP/1.1 only, whatever `http2` is."""

    http2: Flag = True
    headers: Annotated[Mapping[str, Annotated[str, Field(max_length=4096)]], AfterValidator(_headers), THAWED] = Field(
        default_factory=no_entries
    )


class RateLimit(Section):
    """`rate_limit`: a bucket of `burst` requests, refilled by one every `interval` seconds; 0 disables it."""

    interval: Annotated[float, Duration("0s", "1d")] = 0.0
    burst: Annotated[int, Field(ge=0, le=1_000_000)] = 0


_Users = Annotated[
    Mapping[
        Annotated[str, Field(max_length=200), checked(_user)],
        Annotated[SecretStr, BeforeValidator(_hash), Kind("bcrypt hash")],
    ],
    Field(max_length=MAX_USERS),
    AfterValidator(frozen),
    THAWED,
    Kind("user → bcrypt hash"),
]


class WebConfig(Section):
    """The whole file. `basic_auth_write_users` is not in Prometheus' format; its users may also read."""

    tls_server_config: TlsServerConfig = Field(default_factory=TlsServerConfig)
    http_server_config: HttpServerConfig = Field(default_factory=HttpServerConfig)
    basic_auth_users: _Users = Field(default_factory=no_entries)
    basic_auth_write_users: _Users = Field(default_factory=no_entries)
    rate_limit: RateLimit = Field(default_factory=RateLimit)


def load_web(path: Path) -> WebConfig:
    """Read a web configuration. Relative paths in it are relative to its directory.

    Raises `ConfigError` with all its errors, and `StartupError` if it cannot be read.
    """
    return parse_as(_WEB_CONFIG, text_of(path), str(path), None)


def _check(config: WebConfig, root: Node, unknown: set[KeyPath]) -> list[ConfigProblem]:
    """Check rules between values, skipping sections with invalid ones."""
    problems: list[ConfigProblem] = []

    def problem(message: str, *path: str) -> None:
        problems.append(ConfigProblem(locate(root, path)[1].line, show_path(path), message))

    for user in sorted(config.basic_auth_users.keys() & config.basic_auth_write_users.keys()):
        problem("is also in basic_auth_users; expected it in one of the two", "basic_auth_write_users", user)
    limit = config.rate_limit
    if limit.interval and not limit.burst and not any(path[0] == "rate_limit" for path in unknown):
        problem("has no burst and would reject all requests; expected a burst of 1 or more", "rate_limit")
    if not any(path[0] == _TLS for path in unknown):
        for key, message in _tls_faults(config.tls_server_config):
            problem(message, *((_TLS, key) if key else (_TLS,)))
    return problems


def _tls_faults(tls: TlsServerConfig) -> list[tuple[str, str]]:
    """Return the errors of the TLS section as (key or empty, message)."""
    if not tls.is_enabled:
        given = sorted(tls.model_fields_set)
        return [("", f"has {given[0]} and no certificate; expected cert_file and key_file")] if given else []
    found: list[tuple[str, str]] = []
    for key in ("cert", "key", "client_ca"):
        both = (getattr(tls, key), getattr(tls, f"{key}_file"))
        if None not in both:
            found.append((key, f"is set together with {key}_file; expected one of the two"))
        elif both == (None, None) and key != "client_ca":
            found.append(("", f"has no {'certificate' if key == 'cert' else 'key'}; expected {key}_file (or {key})"))
    if tls.client_auth_type not in VERIFYING:
        given = [name for name in ("client_ca", "client_ca_file") if getattr(tls, name) is not None]
        found += [(name, f"has no effect: client_auth_type is {tls.client_auth_type}") for name in given]
    if tls.client_allowed_sans and tls.client_auth_type != "RequireAndVerifyClientCert":
        found.append(("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert"))
    if tls.min_version > tls.max_version:
        found.append(("min_version", f"is above max_version, {tls.max_version}"))
    if len(tls.curve_preferences) > 1:
        found.append(("curve_preferences", "has several; expected one, or none for all"))
    return found or _unusable(tls)


def _unusable(tls: TlsServerConfig) -> list[tuple[str, str]]:
    try:
        server_context(tls)
    except StartupError as error:
        return [("", str(error))]
    return []


_WEB_CONFIG: Final[FileKind[WebConfig]] = FileKind(model=WebConfig, check=_check)
