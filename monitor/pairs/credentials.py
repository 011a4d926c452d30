"""The secrets of one relay, token and headers, whose files are read again at each connect, off the event loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from monitor.config.secrets import SecretFile, reveal
from monitor.errors import SettingsError, StartupError
from monitor.relay.token import TokenLife, token_life
from monitor.threads import BoundedCalls
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import RelayConfig

FILE_TIMEOUT: Final = 1.0
"""Seconds within which the file of a secret must be read: it may lie on a mount that hangs."""


class Credentials:
    """Reads the secrets of one relay. `life` is that of the token read last, `first_read` the wall time of its first.

    A hanging file costs one thread, however many clients need it.
    """

    def __init__(self) -> None:
        self.life = TokenLife()
        self.first_read: float | None = None
        self._token: str | None = None
        self._calls = BoundedCalls()

    @property
    def lifetime(self) -> float | None:
        """Seconds from the token's issue, or else from its first use here, to its expiry; None without an expiry."""
        start = self.life.issued if self.life.issued is not None else self.first_read
        if self.life.expires is None or start is None:
            return None
        return max(0.0, self.life.expires - start)

    async def token(self, config: RelayConfig, now: float) -> str | None:
        """Read the connection token; `now` is the wall time. Raises `SettingsError`."""
        secret = config.token or config.token_file
        token = None if secret is None else await self._read(secret, Step.HELLO)
        if token != self._token:
            self._token, self.life, self.first_read = token, token_life(token), now
        return token

    async def headers(self, config: RelayConfig, side: str) -> tuple[tuple[str, str], ...]:
        """Read the headers of one side, "dapp" or "wallet". Raises `SettingsError`."""
        secrets = config.headers.dapp if side == "dapp" else config.headers.wallet
        return tuple([(name, await self._read(secret, Step.UPGRADE)) for name, secret in secrets.items()])

    async def _read(self, secret: SecretStr | SecretFile | Path, step: Step) -> str:
        if isinstance(secret, SecretStr):
            return secret.get_secret_value()  # noqa: ASYNC240 - no path
        path = secret.file if isinstance(secret, SecretFile) else secret
        try:
            return await self._calls.call(f"read of {path}", partial(reveal, secret), FILE_TIMEOUT)
        except StartupError as error:
            raise SettingsError(step, Reason.INTERNAL, str(error)) from error
        except TimeoutError as error:
            detail = f"the secret in {path} cannot be read within {FILE_TIMEOUT:g} s; does its mount hang?"
            raise SettingsError(step, Reason.INTERNAL, detail) from error
