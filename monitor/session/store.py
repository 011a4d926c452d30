"""Persistent state: sessions, the client id, and the nonces of each channel.

Keys and formats are those of the protocol's own clients.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from monitor.errors import ErrorCode, SessionError
from monitor.session.crypto import KeyPair

SESSION_TTL: Final = 30 * 24 * 3600
"""Lifetime of a session, in seconds."""

MAX_SENDERS: Final = 64
"""Senders remembered for one channel, so that a faulty relay cannot exhaust the memory."""

_quoted: Final = json.encoder.encode_basestring_ascii
_SESSIONS: Final = "sessions:master-list"
_CLIENT_ID: Final = "websocket-transport-client-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An established session. `expires_at_ms` is milliseconds since the epoch."""

    id: str
    channel: str
    keys: KeyPair
    their_public_key: bytes
    expires_at_ms: int

    def to_json(self) -> dict[str, Any]:
        """Return the session as the protocol's clients store it, including the private key."""
        return {
            "id": self.id,
            "channel": self.channel,
            "keyPair": {"publicKeyB64": _b64(self.keys.public_key), "privateKeyB64": _b64(self.keys.private_key)},
            "theirPublicKeyB64": _b64(self.their_public_key),
            "expiresAt": self.expires_at_ms,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Session:
        """Read a stored session. Raises KeyError, TypeError, ValueError or OverflowError if it is invalid."""
        keys = body["keyPair"]
        return cls(
            id=str(body["id"]),
            channel=str(body["channel"]),
            keys=KeyPair(base64.b64decode(keys["publicKeyB64"]), base64.b64decode(keys["privateKeyB64"])),
            their_public_key=base64.b64decode(body["theirPublicKeyB64"]),
            expires_at_ms=int(body["expiresAt"]),
        )


class KeyValueStore(Protocol):
    """A store of strings by key. A write is durable when the call returns."""

    def get(self, key: str) -> str | None:
        """Return the value, or None."""

    def set(self, key: str, value: str) -> None:
        """Write a value."""

    def delete(self, key: str) -> None:
        """Remove a value, if it exists."""


@dataclass(slots=True)
class MemoryStore:
    """A store in memory."""

    _values: dict[str, str] = field(default_factory=dict, repr=False)

    def get(self, key: str) -> str | None:
        """Return the value, or None."""
        return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        """Write a value."""
        self._values[key] = value

    def delete(self, key: str) -> None:
        """Remove a value, if it exists."""
        self._values.pop(key, None)


class FileStore:
    """A store in one JSON file, replaced atomically at each write. Only its owner can read it: it holds private keys.

    Raises `SessionError` `SESSION_SAVE_FAILED` if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            text = path.read_text("utf-8") if path.exists() else "{}"
            values = _parsed(text)
        except (OSError, ValueError) as error:
            raise SessionError(ErrorCode.SESSION_SAVE_FAILED, f"{path}: cannot be read: {_what(error)}") from error
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise SessionError(ErrorCode.SESSION_SAVE_FAILED, f"{path}: not a session store")
        self._values: dict[str, str] = values

    def get(self, key: str) -> str | None:
        """Return the value, or None."""
        return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        """Write a value."""
        self._write(self._values | {key: value})

    def delete(self, key: str) -> None:
        """Remove a value, if it exists."""
        if key in self._values:
            self._write({name: value for name, value in self._values.items() if name != key})

    def _write(self, values: dict[str, str]) -> None:
        temporary = None
        try:
            # mkstemp creates it with mode 0600; the same directory makes the rename atomic.
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(values, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise SessionError(ErrorCode.SESSION_SAVE_FAILED, f"{self._path}: {_what(error)}") from error
        self._values = values


class SessionStore:
    """Sessions by id. Expired ones are removed when read."""

    def __init__(self, store: KeyValueStore, now_ms: int) -> None:
        self._store = store
        for identifier in self._identifiers():
            self.get(identifier, now_ms)

    def set(self, session: Session, now_ms: int) -> None:
        """Store a session. Raises `SessionError` `SESSION_SAVE_FAILED` if it has expired."""
        if session.expires_at_ms < now_ms:
            raise SessionError(ErrorCode.SESSION_SAVE_FAILED, "an expired session is not stored")
        self._store.set(f"session:{session.id}", json.dumps(session.to_json()))
        identifiers = self._identifiers()
        if session.id not in identifiers:
            self._store.set(_SESSIONS, json.dumps([*identifiers, session.id]))

    def get(self, identifier: str, now_ms: int) -> Session | None:
        """Return the session, or None if it is unknown, damaged or expired."""
        text = self._store.get(f"session:{identifier}")
        if text is None:
            return None
        try:
            session = Session.from_json(_parsed(text))
        except (KeyError, TypeError, ValueError, OverflowError):
            self.delete(identifier)
            return None
        if session.expires_at_ms < now_ms:
            self.delete(identifier)
            return None
        return session

    def all(self, now_ms: int) -> list[Session]:
        """Return all sessions that have not expired."""
        return [session for identifier in self._identifiers() if (session := self.get(identifier, now_ms))]

    def delete(self, identifier: str) -> None:
        """Delete a session."""
        self._store.delete(f"session:{identifier}")
        self._store.set(_SESSIONS, json.dumps([name for name in self._identifiers() if name != identifier]))

    def _identifiers(self) -> list[str]:
        try:
            names = _parsed(self._store.get(_SESSIONS) or "[]")
        except ValueError:
            return []
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


class TransportStore:
    """A client's id, its next nonce for each channel, and the newest nonce accepted from each sender.

    Raises `SessionError` `SESSION_SAVE_FAILED` for a damaged nonce.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        client_id = store.get(_CLIENT_ID)
        if client_id is None:
            client_id = str(uuid.uuid4())
            store.set(_CLIENT_ID, client_id)
        self.client_id = client_id
        self._latest: dict[str, dict[str, int]] = {}  # parsed content of the store

    def next_nonce(self, channel: str) -> int:
        """Increment and return the nonce for `channel`."""
        key = f"nonce:{self.client_id}:{channel}"
        try:
            nonce = int(self._store.get(key) or 0) + 1
        except ValueError:
            raise _damaged(key, "a whole number") from None
        self._store.set(key, str(nonce))
        return nonce

    def latest(self, channel: str) -> dict[str, int]:
        """Return the newest nonce accepted from each sender on `channel`."""
        if channel not in self._latest:
            key = f"latest-nonces:{self.client_id}:{channel}"
            try:
                latest = _parsed(self._store.get(key) or "{}")
            except ValueError:
                latest = None
            if not isinstance(latest, dict) or not all(type(nonce) is int for nonce in latest.values()):
                raise _damaged(key, "a whole number for each sender, as JSON")
            self._latest[channel] = latest
        return self._latest[channel]

    def accept(self, channel: str, sender: str, nonce: int) -> bool:
        """Return True, and store the nonce, if it is above the newest one of its sender."""
        latest = self.latest(channel)
        if nonce <= latest.get(sender, 0) or (sender not in latest and len(latest) >= MAX_SENDERS):
            return False
        latest[sender] = nonce
        counts = ",".join([f"{_quoted(name)}:{newest}" for name, newest in latest.items()])
        self._store.set(f"latest-nonces:{self.client_id}:{channel}", f"{{{counts}}}")
        return True

    def clear(self, channel: str) -> None:
        """Delete the nonces of a channel."""
        self._latest.pop(channel, None)
        self._store.delete(f"nonce:{self.client_id}:{channel}")
        self._store.delete(f"latest-nonces:{self.client_id}:{channel}")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _parsed(text: str) -> Any:
    """Parse JSON. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _damaged(key: str, expected: str) -> SessionError:
    return SessionError(ErrorCode.SESSION_SAVE_FAILED, f"{key} is damaged in the store: expected {expected}; remove it")


def _what(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
