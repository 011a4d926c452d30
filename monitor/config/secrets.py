"""Secrets, in the configuration itself or in a file that is read each time the secret is needed.

Neither kind shows its content in a `repr`, a log line, a dump or an error.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, SecretStr, Tag, WithJsonSchema

from monitor.config.fields import ExistingFile, Kind, RedactedError, Section, read_file
from monitor.errors import StartupError

MAX_SECRET_BYTES: Final = 65_536
"""As long as the longest frame that a relay accepts."""


class SecretFile(Section):
    """A secret kept in a file, as secret stores and Kubernetes mount them."""

    file: ExistingFile = Field(description="path of the file; a trailing line break is ignored")


def _plain(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise RedactedError("is not text")
    if not value or len(value) > MAX_SECRET_BYTES or not value.isprintable():
        raise RedactedError(f"is empty, longer than {MAX_SECRET_BYTES} characters or not printable on one line")
    return SecretStr(value)


Secret = Annotated[
    SecretStr,
    BeforeValidator(_plain),
    Kind("secret"),
    WithJsonSchema({"type": "string", "minLength": 1, "writeOnly": True}),
]


def _tag_of(value: Any) -> str:
    return "<file>" if isinstance(value, (dict, SecretFile)) else "<secret>"


SecretOrFile = Annotated[
    Annotated[Secret, Tag("<secret>")] | Annotated[SecretFile, Tag("<file>")],
    Discriminator(_tag_of),
    Kind("secret or {file: PATH}"),
]


def reveal(secret: SecretStr | SecretFile | Path) -> str:
    """The secret's text; a file is read now. Raises `StartupError`, with its path, if it is unreadable or invalid."""
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    path = secret.file if isinstance(secret, SecretFile) else secret
    try:
        content = read_file(path, MAX_SECRET_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise StartupError(f"the secret in {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"the secret in {path} is not UTF-8 text") from None
    if not text or len(content) > MAX_SECRET_BYTES or not text.isprintable():
        raise StartupError(f"the secret in {path} is empty, longer than {MAX_SECRET_BYTES} bytes or more than one line")
    return text
