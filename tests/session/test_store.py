"""`session.store`: sessions and nonces across restarts, and damaged files."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from monitor.errors import ErrorCode, SessionError
from monitor.session.crypto import Ecies
from monitor.session.store import MAX_SENDERS, FileStore, MemoryStore, Session, SessionStore, TransportStore

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.session.store import KeyValueStore

NOW = 1_700_000_000_000
CHANNEL = "session:00000000-0000-4000-8000-000000000001"


def session_of(name: str = "one", expires: int = NOW + 1) -> Session:
    keys = Ecies().generate()
    return Session(id=name, channel=CHANNEL, keys=keys, their_public_key=keys.public_key, expires_at_ms=expires)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyValueStore:
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path / "store.json")


def test_values_are_stored_and_deleted(store: KeyValueStore) -> None:
    store.set("a", "1")
    store.set("a", "2")
    store.set("b", "3")
    store.delete("b")
    store.delete("missing")
    assert (store.get("a"), store.get("b")) == ("2", None)


def test_a_file_is_read_again_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    FileStore(path).set("a", "1")
    assert FileStore(path).get("a") == "1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["store.json"]  # no temporary file is left


DEEP = "[" * 100_000


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\xff", DEEP])
def test_a_damaged_file_is_reported(tmp_path: Path, content: str) -> None:
    path = tmp_path / "store.json"
    path.write_text(content, "latin-1")
    with pytest.raises(SessionError, match=r"store\.json") as caught:
        FileStore(path)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.json"
    path.parent.mkdir()
    store = FileStore(path)
    store.set("a", "1")
    path.rename(tmp_path / "moved.json")
    path.parent.rmdir()
    with pytest.raises(SessionError) as caught:
        store.set("a", "2")
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    assert store.get("a") == "1"


def test_a_session_is_stored_under_the_keys_of_the_protocol() -> None:
    store = MemoryStore()
    session = session_of()
    SessionStore(store, NOW).set(session, NOW)
    assert json.loads(store.get("sessions:master-list") or "") == ["one"]
    assert json.loads(store.get("session:one") or "").keys() == {
        "id", "channel", "keyPair", "theirPublicKeyB64", "expiresAt",
    }  # fmt: skip
    assert SessionStore(store, NOW).get("one", NOW) == session


def test_expired_sessions_are_neither_stored_nor_returned(store: KeyValueStore) -> None:
    sessions = SessionStore(store, NOW)
    with pytest.raises(SessionError) as caught:
        sessions.set(session_of(expires=NOW - 1), NOW)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    sessions.set(session_of("old", NOW + 10), NOW)
    sessions.set(session_of("new", NOW + 1_000), NOW)
    SessionStore(store, NOW + 100)  # expired sessions are deleted at a start
    assert store.get("session:old") is None
    assert [session.id for session in sessions.all(NOW + 100)] == ["new"]


@pytest.mark.parametrize(
    "content", ["{}", "[]", "{", DEEP, json.dumps(session_of().to_json() | {"expiresAt": float("inf")})]
)
def test_a_damaged_session_is_ignored(content: str) -> None:
    store = MemoryStore()
    sessions = SessionStore(store, NOW)
    sessions.set(session_of(), NOW)
    store.set("session:one", content)
    assert sessions.get("one", NOW) is None
    assert sessions.all(NOW) == []


def test_client_id_and_nonces_survive_a_restart(store: KeyValueStore) -> None:
    first = TransportStore(store)
    assert [first.next_nonce(CHANNEL), first.next_nonce(CHANNEL), first.next_nonce("other")] == [1, 2, 1]
    assert first.accept(CHANNEL, "them", 3)
    restarted = TransportStore(store)
    assert restarted.client_id == first.client_id
    assert restarted.next_nonce(CHANNEL) == 3
    assert [restarted.accept(CHANNEL, "them", nonce) for nonce in (2, 3, 4)] == [False, False, True]
    restarted.clear(CHANNEL)
    assert TransportStore(store).next_nonce(CHANNEL) == 1


@pytest.mark.parametrize("content", ["x", "1.5", "[]", "9" * 5_000])
def test_a_damaged_send_nonce_is_reported(store: KeyValueStore, content: str) -> None:
    transport = TransportStore(store)
    store.set(f"nonce:{transport.client_id}:{CHANNEL}", content)
    with pytest.raises(
        SessionError, match=rf"^nonce:\S+:{CHANNEL} is damaged in the store: expected a whole number; "
    ) as caught:
        transport.next_nonce(CHANNEL)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    transport.clear(CHANNEL)
    assert transport.next_nonce(CHANNEL) == 1


@pytest.mark.parametrize("content", ["x", "[]", "1", '{"them": "1"}', '{"them": null}', '[["them", 1]]', DEEP])
def test_damaged_receive_nonces_are_reported(store: KeyValueStore, content: str) -> None:
    transport = TransportStore(store)
    store.set(f"latest-nonces:{transport.client_id}:{CHANNEL}", content)
    with pytest.raises(
        SessionError, match=r"is damaged in the store: expected a whole number for each sender"
    ) as caught:
        transport.accept(CHANNEL, "them", 1)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    transport.clear(CHANNEL)
    assert transport.accept(CHANNEL, "them", 1)


def test_a_sender_may_have_any_name(store: KeyValueStore) -> None:
    odd = 'a"b\\é'
    assert TransportStore(store).accept(CHANNEL, odd, 5)
    assert not TransportStore(store).accept(CHANNEL, odd, 5)


def test_senders_of_a_channel_are_limited() -> None:
    store = TransportStore(MemoryStore())
    assert all(store.accept(CHANNEL, str(number), 1) for number in range(MAX_SENDERS))
    assert not store.accept(CHANNEL, "one more", 1)
    assert store.accept(CHANNEL, "0", 2)
