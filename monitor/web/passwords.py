"""Check passwords against bcrypt hashes: in a thread, one at a time, with a cache, since each check is slow."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import bcrypt
from starlette.concurrency import run_in_threadpool

from monitor.web.connection_limits import ClientCounts, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

CACHE_SIZE: Final = 100
"""Number of cached results, as in Prometheus; positive ones, and as many negative ones."""

MAX_PENDING: Final = 20
"""Largest number of pending checks."""

MAX_PENDING_PER_ADDRESS: Final = 10
"""Largest number of pending checks of one client address."""

_SIGNIFICANT: Final = 72  # bytes of a password that bcrypt uses


class TooManyError(Exception):
    """More checks are pending than can be made in reasonable time."""


class Passwords:
    """Checks passwords. A check takes the same time for unknown users."""

    def __init__(self) -> None:
        # Comparisons, by a digest, so that no password stays in memory. Wrong passwords do not displace right ones.
        self._cached: dict[bool, OrderedDict[bytes, None]] = {True: OrderedDict(), False: OrderedDict()}
        self._salt = secrets.token_bytes(32)
        self._lock = asyncio.Lock()
        self._pending = ClientCounts()

    async def check(self, users: Mapping[str, SecretStr], user: str, password: bytes, client: str = "") -> bool:
        """Return True if `password` is that of `user`. `users` must not be empty. Raises `TooManyError`.

        client: the address of the client.
        """
        # For an unknown user another hash is compared, for constant time.
        hashed = users.get(user, next(iter(users.values()))).get_secret_value().encode()
        key = self._digest(user.encode(errors="replace"), hashed, password)
        matches = next((matches for matches, cache in self._cached.items() if key in cache), None)
        if matches is None:
            matches = await self._compare(password, hashed, origin_of(client))
        cache = self._cached[matches]
        cache[key] = None
        cache.move_to_end(key)
        if len(cache) > CACHE_SIZE:
            cache.popitem(last=False)
        return matches and user in users  # `users` of the next call may be others, so that this is not cached

    async def _compare(self, password: bytes, hashed: bytes, origin: str) -> bool:
        if self._pending.is_full(origin, MAX_PENDING, MAX_PENDING_PER_ADDRESS):
            raise TooManyError
        with self._pending.counted(origin):
            async with self._lock:
                return await run_in_threadpool(_compare, password, hashed)

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
