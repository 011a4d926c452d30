"""Local faults: a run that this program or its host made fail is aborted."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from monitor.pairs.pair import Pair, pair_up
from monitor.vocabulary import Outcome, Reason, Step
from tests.probes.harness import (
    PERSISTENT,
    QUICK_SESSION,
    cause,
    probe_at,
    serving,
)
from tests.sockets import unanswering
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.embedded import EmbeddedRelay
    from monitor.pairs.context import ProbeContext, RunRecorder

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


@pytest.mark.looptime(False)  # noqa: FBT003 - a file's thread takes real time
async def test_a_file_of_ours_that_cannot_be_read_is_not_blamed_on_the_relay(
    relay: EmbeddedRelay, tmp_path: Path
) -> None:
    header = tmp_path / "header"
    header.write_text("one")
    made_up = {"dapp": {"X-Key": {"file": str(header)}}}
    async with probe_at(relay.url, "steady-messaging", None, {}, relay={"headers": made_up}, **PERSISTENT) as made:
        header.unlink()
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 2)
            assert {run.outcome for run in made.runs} == {Outcome.ABORTED}
            assert cause(made.runs[-1]) == (Step.UPGRADE, Reason.INTERNAL)
            header.write_text("two")
            await made.until(lambda: made.runs[-1].outcome is Outcome.OK)


@pytest.mark.looptime(False)  # noqa: FBT003 - a file's thread takes real time
async def test_what_keeps_a_dropped_connection_away_may_be_ours(relay: EmbeddedRelay, tmp_path: Path) -> None:
    header = tmp_path / "header"
    header.write_text("one")
    made_up = {"dapp": {"X-Key": {"file": str(header)}}}
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1", "timeout": "5s"}
    async with (
        probe_at(relay.url, "steady-state", {"duration": 0.3}, relay={"headers": made_up}, **keys) as made,
        serving(made),
    ):
        await made.until(lambda: relay.connections == 1)
        header.unlink()
        relay.disconnect_all(3001)
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.ABORTED)
        assert cause(made.runs[-1]) == (Step.UPGRADE, Reason.INTERNAL)
        assert Outcome.FAILED in {run.outcome for run in made.runs}  # the drop itself was the relay's


async def test_a_pair_that_a_fault_of_ours_kept_from_being_made_is_made_at_its_next_slot(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[RunRecorder] = []

    async def fail_at_first(context: ProbeContext, recorder: RunRecorder, **options: Any) -> Pair:
        tries.append(recorder)
        if len(tries) == 1:
            raise RuntimeError("a fault of this program")
        return await pair_up(context, recorder, **options)

    monkeypatch.setattr("monitor.probes.steady_messaging.pair_up", fail_at_first)
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT | {"timeout": "2s"}) as made, serving(made):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)
    assert len(tries) == 2


async def test_a_proxy_that_is_no_address_is_ours(relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://[::1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION) as made:
        run = await made.run_once()
    assert (run.outcome, cause(run)) == (Outcome.ABORTED, (Step.PROXY, Reason.INTERNAL))


async def test_a_proxy_whose_address_does_not_answer_is_no_silent_one(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION) as made:
        with unanswering() as proxy:
            monkeypatch.setenv("http_proxy", proxy)
            assert cause(await made.run_once()) == (Step.PROXY, Reason.TIMEOUT)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{silent.getsockname()[1]}")
            assert cause(await made.run_once()) == (Step.PROXY, Reason.SILENT)


@pytest.mark.looptime(False)  # noqa: FBT003 - a look-up's thread takes real time
async def test_a_fault_of_this_program_in_the_way_back_is_ours_and_over_when_it_is(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has no threads left, as the resolver needs one."""
    url = relay.url.replace("127.0.0.1", "localhost")
    async with probe_at(url, "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)

        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            await relay.stop()
            await relay.start()
            await made.until(lambda: made.runs[-1].failure is not None and made.runs[-1].outcome is Outcome.ABORTED)
            assert cause(made.runs[-1]) == (Step.RESOLVE, Reason.INTERNAL)
        await made.until(lambda: made.runs[-1].outcome is Outcome.OK)
