"""`session.store`: what survives a restart."""

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


def made(name: str = "one", expires: int = NOW + 1) -> Session:
    keys = Ecies().generate()
    return Session(id=name, channel=CHANNEL, keys=keys, their_public_key=keys.public_key, expires_at_ms=expires)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyValueStore:
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path / "store.json")


def test_values_are_kept_and_removed(store: KeyValueStore) -> None:
    store.set("a", "1")
    store.set("a", "2")
    store.set("b", "3")
    store.delete("b")
    store.delete("never there")
    assert (store.get("a"), store.get("b")) == ("2", None)


def test_a_file_is_read_again_and_its_owner_alone_may(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    FileStore(path).set("a", "1")
    assert FileStore(path).get("a") == "1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["store.json"]  # nothing half-written is left


DEEP = "[" * 100_000


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\xff", DEEP])
def test_a_damaged_file_is_said_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "store.json"
    path.write_text(content, "latin-1")
    with pytest.raises(SessionError, match=r"store\.json") as caught:
        FileStore(path)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED


def test_a_file_that_cannot_be_written_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.json"
    path.parent.mkdir()
    store = FileStore(path)
    store.set("a", "1")
    path.rename(tmp_path / "kept.json")
    path.parent.rmdir()
    with pytest.raises(SessionError) as caught:
        store.set("a", "2")
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    assert store.get("a") == "1"


def test_a_session_is_stored_under_the_protocols_own_keys() -> None:
    store = MemoryStore()
    session = made()
    SessionStore(store, NOW).set(session, NOW)
    assert json.loads(store.get("sessions:master-list") or "") == ["one"]
    assert json.loads(store.get("session:one") or "").keys() == {
        "id", "channel", "keyPair", "theirPublicKeyB64", "expiresAt",
    }  # fmt: skip
    assert SessionStore(store, NOW).get("one", NOW) == session


def test_expired_sessions_are_neither_kept_nor_given(store: KeyValueStore) -> None:
    sessions = SessionStore(store, NOW)
    with pytest.raises(SessionError) as caught:
        sessions.set(made(expires=NOW - 1), NOW)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    sessions.set(made("old", NOW + 10), NOW)
    sessions.set(made("new", NOW + 1_000), NOW)
    SessionStore(store, NOW + 100)  # a start collects what has expired
    assert store.get("session:old") is None
    assert [session.id for session in sessions.all(NOW + 100)] == ["new"]


@pytest.mark.parametrize("content", ["{}", "[]", "{", DEEP, json.dumps(made().to_json() | {"expiresAt": float("inf")})])
def test_a_damaged_session_is_forgotten(content: str) -> None:
    store = MemoryStore()
    sessions = SessionStore(store, NOW)
    sessions.set(made(), NOW)
    store.set("session:one", content)
    assert sessions.get("one", NOW) is None
    assert sessions.all(NOW) == []


def test_client_id_and_counts_survive(store: KeyValueStore) -> None:
    first = TransportStore(store)
    assert [first.next_nonce(CHANNEL), first.next_nonce(CHANNEL), first.next_nonce("other")] == [1, 2, 1]
    assert first.accept(CHANNEL, "them", 3)
    again = TransportStore(store)
    assert again.client_id == first.client_id
    assert again.next_nonce(CHANNEL) == 3
    assert [again.accept(CHANNEL, "them", nonce) for nonce in (2, 3, 4)] == [False, False, True]
    again.clear(CHANNEL)
    assert TransportStore(store).next_nonce(CHANNEL) == 1


@pytest.mark.parametrize("content", ["x", "1.5", "[]", "9" * 5_000])
def test_a_damaged_count_of_what_was_sent_is_said_so(store: KeyValueStore, content: str) -> None:
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
def test_a_damaged_count_of_what_was_taken_is_said_so(store: KeyValueStore, content: str) -> None:
    transport = TransportStore(store)
    store.set(f"latest-nonces:{transport.client_id}:{CHANNEL}", content)
    with pytest.raises(
        SessionError, match=r"is damaged in the store: expected a whole number for each sender"
    ) as caught:
        transport.accept(CHANNEL, "them", 1)
    assert caught.value.code is ErrorCode.SESSION_SAVE_FAILED
    transport.clear(CHANNEL)
    assert transport.accept(CHANNEL, "them", 1)


def test_a_sender_may_be_called_anything(store: KeyValueStore) -> None:
    odd = 'a"b\\é'
    assert TransportStore(store).accept(CHANNEL, odd, 5)
    assert not TransportStore(store).accept(CHANNEL, odd, 5)


def test_senders_of_a_channel_are_limited() -> None:
    store = TransportStore(MemoryStore())
    assert all(store.accept(CHANNEL, str(number), 1) for number in range(MAX_SENDERS))
    assert not store.accept(CHANNEL, "one more", 1)
    assert store.accept(CHANNEL, "0", 2)
