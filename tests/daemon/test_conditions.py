"""A monitor that restarts begins with the conditions of the one before it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.daemon.conditions import MAX_AGE, NAME, Conditions
from monitor.results import Cause, RelayStatus
from monitor.state import StateFolder
from monitor.vocabulary import Condition, Reason, Step
from tests.daemon.harness import shown, until
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config import RelayConfig


class FixedClock:
    """A clock that stands still; its monotonic time begins anew with each process."""

    def __init__(self, time: float, monotonic: float) -> None:
        self.now, self.ticks = time, monotonic

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks


def relays(*urls: str) -> list[RelayConfig]:
    text = "".join(f"  - {{name: relay-{number}, url: '{url}'}}\n" for number, url in enumerate(urls))
    return list(parse(f"relays:\n{text}probes: [{{name: idle, scenario: steady-state}}]", "m.yaml", {}).relays)


def down(relay: str, **more: Any) -> RelayStatus:
    cause = Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502", detail="Bad Gateway", endpoint="a", at=90)
    return RelayStatus(
        relay=relay,
        condition=Condition.DOWN,
        since=datetime(2026, 11, 28, 12, tzinfo=UTC),
        up=False,
        accepting=False,
        cause=cause,
        attempts=9,
        failed=9,
        **more,
    )


def write(folder: Path, *statuses: tuple[RelayConfig, RelayStatus], at: float = 1000.0) -> None:
    state = StateFolder(folder)
    conditions = Conditions(state, FixedClock(at, 100))
    for relay, status in statuses:
        conditions.note(relay, status)
    conditions.write(always=True)
    conditions.close(5)
    state.close()


def read(folder: Path, configured: list[RelayConfig], at: float = 1010.0) -> dict[str, RelayStatus]:
    return Conditions(StateFolder(folder), FixedClock(at, 5)).read(configured)


class TestFile:
    def test_a_condition_is_restored_with_its_cause_in_the_new_time(self, tmp_path: Path) -> None:
        (relay,) = relays("wss://a.example/x")
        write(tmp_path, (relay, down("relay-0")))
        (found,) = read(tmp_path, [relay]).values()
        assert found.cause is not None
        assert found.cause.at == -15  # ten seconds before the file was written, which was ten seconds ago
        assert (found.condition, found.since, found.up, found.attempts) == (
            Condition.DOWN,
            datetime(2026, 11, 28, 12, tzinfo=UTC),
            False,
            9,
        )
        assert (found.cause.step, found.cause.status, found.cause.endpoint) == (Step.UPGRADE, "502", "a")

    def test_another_relay_of_that_name_has_no_condition(self, tmp_path: Path) -> None:
        relay, other = relays("wss://a.example/x", "wss://b.example/x")
        write(tmp_path, (relay, down("relay-0")), (other, down("relay-1")))
        moved, _ = relays("wss://elsewhere.example/x", "wss://b.example/x")
        assert list(read(tmp_path, [moved, other])) == ["relay-1"]
        assert list(read(tmp_path, [other])) == ["relay-1"]

    @pytest.mark.parametrize(("at", "known"), [(1000 + MAX_AGE, 1), (1001 + MAX_AGE, 0), (999, 0)])
    def test_an_old_file_or_one_from_the_future_says_nothing(self, tmp_path: Path, at: float, known: int) -> None:
        (relay,) = relays("wss://a.example/x")
        write(tmp_path, (relay, down("relay-0")))
        assert len(read(tmp_path, [relay], at)) == known

    def test_a_relay_without_a_verdict_or_removed_leaves_nothing(self, tmp_path: Path) -> None:
        first, second = relays("wss://a.example/x", "wss://b.example/x")
        unknown = RelayStatus(
            relay="relay-0", condition=Condition.UNKNOWN, since=datetime.now(UTC), up=None, accepting=None
        )
        write(tmp_path, (first, down("relay-0")), (first, unknown))
        assert read(tmp_path, [first]) == {}
        state = StateFolder(tmp_path)
        conditions = Conditions(state, FixedClock(1000, 0))
        conditions.note(second, down("relay-1"))
        conditions.forget("relay-1")
        conditions.write()
        conditions.close(5)
        state.close()
        assert read(tmp_path, [first, second]) == {}

    @pytest.mark.parametrize(
        "change",
        [
            {"condition": "asleep"},
            {"since": "2026-11-28T12:00:00"},
            {"up": "yes"},
            {"up": []},
            {"cause": {}},
            {"cause": 7},
            {"attempts": None},
            {"attempts": 1e999},
        ],
    )
    def test_a_damaged_entry_is_ignored(
        self, tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        (relay,) = relays("wss://a.example/x")
        write(tmp_path, (relay, down("relay-0")))
        path = tmp_path / NAME
        data = json.loads(path.read_text())
        data["relays"]["relay-0"] |= change
        path.write_text(json.dumps(data))
        assert read(tmp_path, [relay]) == {}
        assert "conditions of the last run ignored" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b'{"written": 1000}', b"\xff", b'{"written": "x"}', b"[" * 9999]
    )
    def test_a_damaged_file_is_ignored(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / NAME).write_bytes(content)
        assert read(tmp_path, relays("wss://a.example/x")) == {}


@pytest.mark.slow  # in real time, since a thread writes the file
async def test_a_restart_during_an_outage_shows_it_from_the_first_moment(tmp_path: Path) -> None:
    text = f"""\
state_dir: {tmp_path}
relays: [{{name: demo, url: "ws://127.0.0.1:{closed_port()}/x", limits: {{connects_per_minute: 600}}}}]
probes: [{{name: steady, scenario: steady-messaging, message_interval: 1s, timeout: 1s}}]
"""
    config = parse(text, "monitor.yaml", {})
    first = Monitor(config)
    await first.start()
    await until(lambda: first.monitored_relays.relays["demo"].verdict.status.condition is Condition.DOWN, 60)
    since = first.monitored_relays.relays["demo"].verdict.status.since
    await until(lambda: first.monitored_relays.relays["demo"].verdict.status.attempts > 3, 60)
    attempts = first.monitored_relays.relays["demo"].verdict.status.attempts
    await first.stop()
    second = Monitor(config)
    await second.start()
    status = second.monitored_relays.relays["demo"].verdict.status
    assert (status.condition, status.up, status.since) == (Condition.DOWN, False, since)
    assert status.attempts >= attempts
    assert shown(second, "relay_up", relay="demo") == 0
    assert shown(second, "relay_state", relay="demo", state="down") == 1
    await second.stop()
