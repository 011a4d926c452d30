"""The types of the configuration's fields: limits, text form and description of each.

YAML gives every scalar as text; Python code may pass the value itself (seconds, a `Decimal`). The message of a
validator's `ValueError` follows the wrong value: "'5' is not a duration; expected …".
"""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WithJsonSchema,
    WrapSerializer,
)

from monitor.config.selectors import check_selector
from monitor.config.units import DURATION, RATIO, SIZE, parse_duration, parse_ratio, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_MAX_PORT: Final = 65535
_MAX_TEXT: Final = 2048
_MAX_LABELS: Final = 20


class Section(BaseModel):
    """The base of all models: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class RedactedError(ValueError):
    """A problem of a value that could be a secret, so that the value is not shown in front of the message."""


class OneOrMore:
    """Marks a list that `one_or_more` also accepts as a single entry."""

    def __get_pydantic_json_schema__(
        self,
        schema: Any,
        handler: GetJsonSchemaHandler,
    ) -> dict[str, Any]:
        """Called by pydantic."""
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


def one_or_more(value: object) -> object:
    """Wrap a single entry in a list."""
    return value if value is None or isinstance(value, (list, tuple)) else [value]


@dataclass(frozen=True, slots=True)
class Kind:
    """The description of a field's type and limits in the reference and in problems."""

    type: str
    limits: str = ""

    def __str__(self) -> str:
        comma = "" if self.type.endswith((" of", " with")) else ","
        return f"{self.type}{comma} {self.limits}" if self.limits else self.type


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a float as seconds, written as a duration from `low` to `high`."""

    low: str
    high: str

    @property
    def kind(self) -> Kind:
        """The description of the field."""
        return Kind("duration", f"{self.low} to {self.high}")

    def __get_pydantic_core_schema__(
        self,
        source: object,
        handler: GetCoreSchemaHandler,
    ) -> Any:
        """Called by pydantic."""
        # Without lookahead, which Go has not: Helm reads this schema too.
        written = WithJsonSchema({"type": "string", "minLength": 1, "pattern": f"^(0|{DURATION})$"})
        return handler.generate_schema(Annotated[Any, BeforeValidator(self._validate), written])

    def _validate(self, value: object) -> float:
        if isinstance(value, str):
            seconds = parse_duration(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = float(value)
        else:
            raise ValueError("is not a duration; expected one such as 500ms, 5s or 1h30m")  # noqa: TRY004 - pydantic gathers ValueErrors
        if not parse_duration(self.low) <= seconds <= parse_duration(self.high):
            raise ValueError(f"is out of bounds; expected {self.low} to {self.high}")
        return seconds


@dataclass(frozen=True, slots=True)
class Size:
    """Marks an int as bytes, written as a size from `low` to `high`."""

    low: str
    high: str

    @property
    def kind(self) -> Kind:
        """The description of the field."""
        return Kind("size", f"{self.low} to {self.high}")

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> Any:
        """Called by pydantic."""
        written = WithJsonSchema({"type": "string", "pattern": f"^{SIZE}$"})
        return handler.generate_schema(Annotated[Any, BeforeValidator(self._validate), written])

    def _validate(self, value: object) -> int:
        if isinstance(value, str):
            value = parse_size(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("is not a size; expected one such as 500MB or 2GB")  # noqa: TRY004 - likewise
        if not parse_size(self.low) <= value <= parse_size(self.high):
            raise ValueError(f"is out of bounds; expected {self.low} to {self.high}")
        return value


def _ratio(value: object) -> Decimal:
    if isinstance(value, str):
        value = parse_ratio(value)
    if not isinstance(value, Decimal):
        raise ValueError("is not a ratio; expected a percentage such as 99.9%")  # noqa: TRY004 - likewise
    if not 0 < value <= 1:
        raise ValueError("is out of bounds; expected more than 0% and at most 100%")
    return value


Ratio = Annotated[
    Decimal,
    BeforeValidator(_ratio),
    Kind("ratio", "above 0%, up to 100%"),
    WithJsonSchema({"type": "string", "pattern": f"^{RATIO}$"}),
]


def split_host_port(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT` into host and port. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not (_IPV6 if bracketed else _HOST).fullmatch(host):
        raise ValueError("is not HOST:PORT")
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ValueError(f"has no port from 0 to {_MAX_PORT}")
    return host, int(port)


def checked(check: Callable[[str], object]) -> AfterValidator:
    """Make a validator of a check that raises `ValueError`."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _remote(text: str) -> None:
    try:
        port = split_host_port(text)[1]
    except ValueError as error:
        raise ValueError(f"{error}; expected HOST:PORT, such as one.example.com:443 or [2001:db8::1]:443") from None
    if not port:
        raise ValueError("has port 0; expected 1 to 65535")


def _host_name(text: str) -> None:
    if not _HOST.fullmatch(text.removeprefix(".")):
        raise ValueError(
            "is not a host name; expected one without scheme and port, such as monitor.example.com, or .example.com "
            "for that name and all below it"
        )


def _listen(text: str) -> None:
    try:
        split_host_port(text)
    except ValueError as error:
        raise ValueError(f"{error}; expected HOST:PORT, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464") from None


def check_url(text: str, schemes: tuple[str, ...], *, path: bool) -> None:
    """Raise `ValueError` unless `text` is a URL of one of `schemes`, without credentials, with a path if `path`."""
    wanted = " or ".join(f"{scheme}://HOST[:PORT]{'/PATH' if path else ''}" for scheme in schemes)
    if "@" in text.partition("?")[0]:
        raise RedactedError(f"contains credentials; expected {wanted}, and credentials in headers or token")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"is not a URL; expected {wanted}") from None
    if url.scheme not in schemes:
        raise ValueError(f"has another scheme; expected {wanted}")
    if not (_IPV6 if ":" in host else _HOST).fullmatch(host) or port == 0 or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(f"has no usable host or port; expected {wanted}")
    if path and not url.path:
        raise ValueError("has no path; a Centrifugo relay's is /connection/websocket")
    if url.fragment or text.endswith("#"):
        raise ValueError(f"has a fragment (#); expected {wanted}")


def _relay_url(text: str) -> str:
    if text != "embedded":
        check_url(text, ("wss", "ws"), path=True)
    return text


def _endpoint_url(text: str) -> str:
    if text == "embedded":
        raise ValueError("cannot be an endpoint; expected wss:// or ws:// URLs, or {dns: NAME:PORT}")
    return _relay_url(text)


def _web_url(text: str) -> str:
    _untemplated(text)
    check_url(text, ("https", "http"), path=False)
    if "?" in text:
        raise ValueError("has a query (?); expected https://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]")
    return text


def _monitor_url(text: str) -> str:
    _untemplated(text)
    example = text.replace("{location}", "local").replace("{shard}", "0")
    if "{" in example or "}" in example:
        raise ValueError("contains a brace; expected only {location} and {shard} in braces")
    _web_url(example)
    return text


def _label(reserved: frozenset[str]) -> AfterValidator:
    """Make a validator of label names: valid in Prometheus and not `reserved`."""

    def check(name: str) -> None:
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ValueError("is not a label name; expected letters, digits and _, not starting with a digit or __")
        if name in reserved:
            raise ValueError(f"is reserved; expected another label than {', '.join(sorted(reserved))}")

    return checked(check)


def _untemplated(text: str) -> None:
    # Prometheus parses an alert's labels as templates and loads no rules at all if one is invalid.
    if "{{" in text:
        raise ValueError("contains {{, which starts a template in Prometheus; expected plain text")


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ValueError("is not a path")
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return Path(folder, value) if folder is not None else Path(value)


def read_file(path: Path, size: int) -> bytes:
    """Read the first `size` bytes of a regular file; links are followed. Raises `OSError`, also for any other kind.

    Reading a pipe or a device could block forever, and consumes its content.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a folder raises
        raise OSError(errno.EINVAL, "Is not a regular file")
    with path.open("rb") as file:
        return file.read(size)


def _existing(path: Path, info: ValidationInfo) -> Path:
    if isinstance(info.context, dict) and info.context["check_files"]:
        try:
            read_file(path, 1)
        except OSError as error:
            raise ValueError(
                f"cannot be read as {path}: {error.strerror}; relative paths start at this file's folder"
            ) from None
    return path


def frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a mapping read-only."""
    return MappingProxyType(dict(mapping))


def _thawed(mapping: Mapping[str, object], serialize: SerializerFunctionWrapHandler) -> object:
    return serialize(dict(mapping))


THAWED: Final = WrapSerializer(_thawed)
"""Serializes a mapping that `frozen` made."""


def no_entries() -> Mapping[str, Any]:
    """An empty read-only mapping."""
    return frozen({})


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63),
    Kind("name", "letters, digits, . _ -, up to 63"),
]
Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT), Kind("text", f"up to {_MAX_TEXT} characters")]
Listen = Annotated[str, checked(_listen), Kind("HOST:PORT")]
HostName = Annotated[str, Field(max_length=254), checked(_host_name), Kind("host name", "or `.DOMAIN`")]
HostPort = Annotated[str, Field(max_length=300), checked(_remote), Kind("HOST:PORT")]
RelayUrl = Annotated[
    str, Field(max_length=_MAX_TEXT), AfterValidator(_relay_url), Kind("URL", "`wss://…`, `ws://…` or `embedded`")
]
EndpointUrl = Annotated[
    str, Field(max_length=_MAX_TEXT), AfterValidator(_endpoint_url), Kind("URL", "`wss://`, `ws://`")
]
MonitorUrl = Annotated[
    str,
    Field(max_length=_MAX_TEXT),
    AfterValidator(_monitor_url),
    Kind("URL", "`https://`, `http://`; may contain `{location}` and `{shard}`"),
]
WebUrl = Annotated[str, Field(max_length=_MAX_TEXT), AfterValidator(_web_url), Kind("URL", "`https://`, `http://`")]
Selector = Annotated[str, Field(max_length=500), checked(check_selector), Kind("PromQL selector")]
PlainPath = Annotated[Path, BeforeValidator(_path), Kind("path"), WithJsonSchema({"type": "string"})]
ExistingFile = Annotated[
    Path, BeforeValidator(_path), AfterValidator(_existing), Kind("path", "of a readable file"),
    WithJsonSchema({"type": "string"}),
]  # fmt: skip
_LabelText = Annotated[str, Field(max_length=128)]
LabelText = Annotated[
    str, Field(min_length=1, max_length=128), checked(_untemplated), Kind("text", "up to 128 characters")
]
_LABELS = Kind("label → text", f"up to {_MAX_LABELS}, names as in Prometheus")
_OF_A_RELAY: Final = frozenset(
    {"install", "location", "relay", "probe", "scenario", "slo", "job", "instance"}
    | {"max_severity", "page_after", "scope", "owner", "group", "centrifugo_selector"}
)
_RELAY_LABELS: Final = _OF_A_RELAY | {"le", "severity", "service", "state", "endpoint"}
_ALERT_LABELS: Final = (
    # These identify the alerts of one rule; overwritten with one value, Prometheus rejects the duplicates.
    _OF_A_RELAY
    | {"shard", "endpoint"}
    # These are set by the rules and by Prometheus.
    | {"alertname", "alertstate", "severity", "service", "window", "about"}
    | {"slo_window", "long_window", "short_window"}
)
RelayLabels = Annotated[
    Mapping[Annotated[str, _label(_RELAY_LABELS)], _LabelText],
    Field(max_length=_MAX_LABELS),
    AfterValidator(frozen),
    THAWED,
    _LABELS,
]
AlertLabels = Annotated[
    Mapping[Annotated[str, _label(frozenset(_ALERT_LABELS))], Annotated[_LabelText, checked(_untemplated)]],
    Field(max_length=_MAX_LABELS),
    AfterValidator(frozen),
    THAWED,
    _LABELS,
]
