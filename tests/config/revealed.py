"""The secrets of a relay, read as at a connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.config import reveal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from monitor.config import RelayConfig, SecretFile


def token_of(relay: RelayConfig) -> str | None:
    secret = relay.token or relay.token_file
    return None if secret is None else reveal(secret)


def headers_of(headers: Mapping[str, SecretStr | SecretFile | Path]) -> dict[str, str]:
    return {name: reveal(secret) for name, secret in headers.items()}
