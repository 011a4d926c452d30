"""Passwords against their bcrypt hashes: in a thread, one at a time, and remembered, since each takes its time."""

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

REMEMBERED: Final = 100
"""Answers that are kept, right and wrong ones, as Prometheus keeps them."""

MAX_WAITING: Final = 20
"""Passwords that wait for their turn at the most."""

_SIGNIFICANT: Final = 72  # bytes of a password that bcrypt looks at


class TooManyError(Exception):
    """More passwords are tried at once than can be looked at in reasonable time."""


class Passwords:
    """Tells whether a password is a user's. It takes as long for users that do not exist."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, bool] = OrderedDict()  # by a digest: no password stays in memory
        self._salt = secrets.token_bytes(32)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def fit(self, users: Mapping[str, SecretStr], user: str, password: bytes) -> bool:
        """Whether `password` is that of `user`. There must be a user. Raises `TooManyError`."""
        # Of an unknown user, another one's hash is compared, and the answer is no.
        hashed = users.get(user, next(iter(users.values()))).get_secret_value().encode()
        key = self._digest(user.encode(errors="replace"), hashed, password)
        answer = self._answers.get(key)
        if answer is None:
            answer = await self._compare(password, hashed)
            self._answers[key] = answer
        self._answers.move_to_end(key)
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return answer and user in users

    async def _compare(self, password: bytes, hashed: bytes) -> bool:
        if self._waiting >= MAX_WAITING:
            raise TooManyError
        self._waiting += 1
        try:
            async with self._turn:
                return await run_in_threadpool(_compare, password, hashed)
        finally:
            self._waiting -= 1

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def _compare(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_SIGNIFICANT], hashed)
    except ValueError:  # a password with a NUL is nobody's
        return False
