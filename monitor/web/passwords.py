"""Check passwords against bcrypt hashes: in a thread, one at a time, with a cache, since each check is slow."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import bcrypt
from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

CACHE_SIZE: Final = 100
"""Number of cached results, positive and negative, as in Prometheus."""

MAX_PENDING: Final = 20
"""Largest number of pending checks."""

_SIGNIFICANT: Final = 72  # bytes of a password that bcrypt uses


class TooManyError(Exception):
    """More checks are pending than can be made in reasonable time."""


class Passwords:
    """Checks passwords. A check takes the same time for unknown users."""

    def __init__(self) -> None:
        self._cache: OrderedDict[bytes, bool] = OrderedDict()  # by digest, so that no password stays in memory
        self._salt = secrets.token_bytes(32)
        self._lock = asyncio.Lock()
        self._pending = 0

    async def check(self, users: Mapping[str, SecretStr], user: str, password: bytes) -> bool:
        """Return True if `password` is that of `user`. `users` must not be empty. Raises `TooManyError`."""
        # For an unknown user another hash is compared, for constant time.
        hashed = users.get(user, next(iter(users.values()))).get_secret_value().encode()
        key = self._digest(user.encode(errors="replace"), hashed, password)
        matches = self._cache.get(key)
        if matches is None:
            matches = await self._compare(password, hashed)
            self._cache[key] = matches
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return matches and user in users

    async def _compare(self, password: bytes, hashed: bytes) -> bool:
        if self._pending >= MAX_PENDING:
            raise TooManyError
        self._pending += 1
        try:
            async with self._lock:
                return await run_in_threadpool(_compare, password, hashed)
        finally:
            self._pending -= 1

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def _compare(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_SIGNIFICANT], hashed)
    except ValueError:  # bcrypt rejects a password with a NUL
        return False
