"""Secrets: in the configuration itself, or in a file that is read again whenever the secret is needed.

Neither form shows its content in a `repr`, a log line, a dump or an error.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, SecretStr, Tag, WithJsonSchema

from monitor.config.fields import ExistingFile, Kind, Section, Unshown, read_file
from monitor.errors import StartupError

MAX_SECRET: Final = 65_536
"""Bytes a secret may have: a relay refuses longer frames anyway."""


class SecretFile(Section):
    """A secret kept in a file, as secret stores and Kubernetes mount them."""

    file: ExistingFile = Field(description="path of the file; a line break at its end does not count")


def _plain(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise Unshown("is not text")
    if not value or len(value) > MAX_SECRET or not value.isprintable():
        raise Unshown(f"is empty, longer than {MAX_SECRET} characters or not printable on one line")
    return SecretStr(value)


Secret = Annotated[
    SecretStr,
    BeforeValidator(_plain),
    Kind("secret"),
    WithJsonSchema({"type": "string", "minLength": 1, "writeOnly": True}),
]


def _form(value: Any) -> str:
    return "<file>" if isinstance(value, (dict, SecretFile)) else "<secret>"


SecretOrFile = Annotated[
    Annotated[Secret, Tag("<secret>")] | Annotated[SecretFile, Tag("<file>")],
    Discriminator(_form),
    Kind("secret or {file: PATH}"),
]


def reveal(secret: SecretStr | SecretFile | Path) -> str:
    """The secret's text; a file is read now. Raises `StartupError`, naming the file, where that cannot be done."""
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    path = secret.file if isinstance(secret, SecretFile) else secret
    try:
        content = read_file(path, MAX_SECRET + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise StartupError(f"the secret in {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"the secret in {path} is not UTF-8 text") from None
    if not text or len(content) > MAX_SECRET or not text.isprintable():
        raise StartupError(f"the secret in {path} is empty, longer than {MAX_SECRET} bytes or more than one line")
    return text
