"""Self-checks: when the monitor is healthy, and whether a fault is local."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import SYSTEM_CLOCK, LoopClock
from monitor.errors import ProbeError, SettingsError
from monitor.health import SelfCheck, self_check
from monitor.health.egress import Egress
from monitor.health.loopback import loopback_failed
from monitor.health.references import References
from monitor.vocabulary import Reason, Step
from tests.virtual_time import WITHOUT_SOCKETS, block_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REFUSED = ProbeError(Step.TCP, Reason.REFUSED)
UNRESOLVED = ProbeError(Step.RESOLVE, Reason.TIMEOUT, "relay.example: Temporary failure in name resolution")
EXPIRED = ProbeError(Step.TLS, Reason.TLS_EXPIRED, "certificate has expired")
NO_ROUTE = SettingsError(Step.TCP, Reason.UNREACHABLE, "no IPv4 route from here to 192.0.2.1:80", shared="network")
PROXY_DEAD = SettingsError(Step.PROXY, Reason.REFUSED, "proxy p:8: Connection refused", shared="proxy p:8")


class FakeRelay:
    """A relay for the checks: what prevents a verdict on it, and when it was reached."""

    def __init__(self, error: SettingsError | None = None, *, is_local: bool = False) -> None:
        self.settings_fault = self
        self.error = error
        self.in_doubt = False
        self.config = SimpleNamespace(name="demo")
        self.is_local = self.is_embedded = is_local
        self.reached_at = float("-inf")
        self.verdict = SimpleNamespace(delivered_at=float("-inf"))

    def clear(self) -> None:
        self.error = None


class Checked:
    """Self-checks on virtual time; `loopback` and `network` are the results of the active checks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
        self.clock = LoopClock()
        self.changes: list[bool] = []
        self.loopback: str | None = None
        self.network: str | None = None
        self.egress: str | None = None
        self.unreachable: str | None = None
        self.names: str | None = None
        self.observable = False
        self.checks = 0
        self.relays: list[Any] = []
        self.failed: list[set[str]] = []
        self.health = SelfCheck(
            self.clock,
            on_lag=lambda _: None,
            on_change=self.changes.append,
            on_failed=lambda failed: self.failed.append(set(failed)),
            references=references,
            relays=lambda: self.relays,
        )
        monkeypatch.setattr(self_check, "loopback_failed", self._loop_back)
        monkeypatch.setattr(self_check, "silent_name_servers", self._ask_name_servers)
        monkeypatch.setattr(References, "unreachable", lambda asked, _ways: self._reach(asked))
        monkeypatch.setattr(Egress, "suspicion", self._ask_relays)
        monkeypatch.setattr(Egress, "ways", lambda _: {None})
        monkeypatch.setattr(Egress, "is_observable", lambda _, _relay: self._observe())

    async def _loop_back(self, clock: LoopClock) -> str | None:
        assert clock is self.clock
        self.checks += 1
        await asyncio.sleep(0.5)
        return self.loopback

    async def _reach(self, asked: References) -> str | None:
        await asyncio.sleep(1)
        asked.up = self.network is None if asked.addresses else None
        return self.network

    async def _ask_relays(self) -> str | None:
        self.health._egress.unreachable = self.unreachable or self.egress
        return self.egress

    async def _ask_name_servers(self) -> str | None:
        return self.names

    async def _observe(self) -> bool:
        return self.observable

    async def is_local_fault(self, error: ProbeError | None = REFUSED) -> bool:
        return await self.health.is_local_fault("demo", error)


@pytest.fixture
async def checked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checked]:
    made = Checked(monkeypatch)
    yield made
    await made.health.stop()


@WITHOUT_SOCKETS
class TestPeriodicChecks:
    async def test_each_failed_check_counts_for_its_own_period(self, checked: Checked) -> None:
        checked.health.start()
        checked.health.mark_unhealthy("test", "one")
        await asyncio.sleep(10)
        checked.health.mark_unhealthy("other", "two")
        assert (checked.health.healthy, checked.health.reasons) == (False, ["one", "two"])
        await asyncio.sleep(6)
        assert checked.health.reasons == ["two"]
        await asyncio.sleep(10)
        assert (checked.health.healthy, checked.health.reasons, checked.changes) == (True, [], [False, True])

    async def test_a_step_of_the_wall_clock_is_reported(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2)
        checked.clock.step(-3600)
        await asyncio.sleep(1.5)
        assert checked.health.reasons == ["wall clock stepped by -3600.0 s"]

    async def test_a_blocked_event_loop_is_detected_before_its_next_reading(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2.1)
        block_loop(3.0)
        checked.health.check_loop_lag()
        (why,) = checked.health.reasons
        assert why.startswith("event loop blocked for 3.")


@WITHOUT_SOCKETS
class TestLocalFault:
    async def test_if_all_checks_pass_the_fault_is_not_local(self, checked: Checked) -> None:
        assert not await checked.is_local_fault()
        assert (checked.checks, checked.changes) == (1, [])

    async def test_if_the_loopback_fails_the_fault_is_local(self, checked: Checked) -> None:
        checked.loopback = "loopback check failed: publish: silent"
        assert await checked.is_local_fault()
        assert checked.health.reasons == [checked.loopback]
        assert checked.changes == [False]

    async def test_while_no_reference_is_reachable_the_fault_is_local(self, checked: Checked) -> None:
        checked.health.start()
        checked.network = "no reference reachable: a:1: no answer within 2 s"
        assert await checked.is_local_fault()
        await asyncio.sleep(60)
        assert checked.health.reasons == [checked.network]
        checked.network = None
        await asyncio.sleep(25)
        assert (checked.health.healthy, checked.changes) == (True, [False, True])

    async def test_concurrent_callers_share_one_check(self, checked: Checked) -> None:
        results = await asyncio.gather(*(checked.is_local_fault() for _ in range(20)))
        assert (results, checked.checks) == ([False] * 20, 1)
        await checked.is_local_fault()
        assert checked.checks == 1, "the result is still valid"
        await asyncio.sleep(3)
        await checked.is_local_fault()
        assert checked.checks == 2

    async def test_a_cancelled_caller_does_not_cancel_the_check(self, checked: Checked) -> None:
        cancelled = asyncio.ensure_future(checked.is_local_fault())
        waiting = asyncio.ensure_future(checked.is_local_fault())
        checked.network = "no reference reachable: a:1: no answer within 2 s"
        await asyncio.sleep(0.1)
        cancelled.cancel()
        assert await waiting

    async def test_an_unhealthy_monitor_is_not_checked_again(self, checked: Checked) -> None:
        checked.health.mark_unhealthy("test", "why")
        assert await checked.is_local_fault()
        assert checked.checks == 0

    async def test_with_references_that_answer_a_common_outage_is_each_relays_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = Checked(monkeypatch, "a.example:443", "b.example:443")
        assert checked.health.references == ("a.example:443", "b.example:443")
        checked.egress = "all relays, or our network"
        assert not await checked.is_local_fault()
        assert checked.health.reference_up
        assert checked.failed == []

    @pytest.mark.parametrize("at_once", [True, False], ids=["at once", "some long before"])
    async def test_silent_references_and_unreachable_relays_are_both_checks_from_beginning_to_end(
        self, monkeypatch: pytest.MonkeyPatch, at_once: bool
    ) -> None:
        """Before, only the check `network` failed, which does not page within two minutes."""
        monkeypatch.setattr(References, "unproven", lambda _asked, _ways: asyncio.sleep(0, []))
        checked = Checked(monkeypatch, "a.example:443", "b.example:443")
        checked.health.start()
        checked.network = "no reference reachable: a:1"
        checked.unreachable = "all relays, or our network"
        checked.egress = checked.unreachable if at_once else None
        assert await checked.is_local_fault()
        assert set(checked.health.reasons) == {checked.network, checked.unreachable}
        await asyncio.sleep(3600)
        assert checked.changes == [False]
        checked.network = checked.unreachable = checked.egress = None
        await asyncio.sleep(25)
        assert checked.health.healthy
        assert checked.failed[-2:] == [{"all_relays", "network"}, set()], "they end together"
        assert len(checked.failed) <= 3, "they do not flap"
        await checked.health.stop()

    async def test_silent_references_alone_are_not_all_relays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        checked = Checked(monkeypatch, "a.example:443")
        checked.network = "no reference reachable: a:1"
        assert await checked.is_local_fault()
        assert checked.failed == [{"network"}]

    async def test_a_relay_that_is_reached_meanwhile_shows_that_silent_references_prove_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = Checked(monkeypatch, "a.example:443")
        checked.network = "no reference reachable: a:1"
        relay = FakeRelay()
        checked.relays = [FakeRelay(), relay]
        asyncio.get_running_loop().call_later(0.5, lambda: setattr(relay, "reached_at", checked.clock.monotonic()))
        assert not await checked.is_local_fault()

    async def test_references_that_fall_silent_while_all_is_well_prove_nothing_any_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A firewall closes the way to them: a later outage must not be frozen away."""
        disregarded: list[float] = []
        monkeypatch.setattr(References, "unproven", lambda _asked, _ways: asyncio.sleep(0, []))
        checked = Checked(monkeypatch, "a.example:443")
        monkeypatch.setattr(References, "disregard", lambda _: disregarded.append(checked.clock.monotonic()))
        relay = FakeRelay()
        checked.relays = [relay]
        checked.health.start()
        await asyncio.sleep(400)
        assert disregarded == []
        checked.network = "no reference reachable: a:1"
        await asyncio.sleep(210)
        relay.reached_at = checked.clock.monotonic()
        await asyncio.sleep(250)
        assert len(disregarded) == 1
        assert checked.changes == []
        await checked.health.stop()

    async def test_a_relay_of_this_host_that_is_reached_shows_nothing(self, checked: Checked) -> None:
        checked.network = "no reference reachable: a:1"
        relay = FakeRelay(is_local=True)
        relay.reached_at = float("inf")
        checked.relays = [relay]
        assert await checked.is_local_fault()

    async def test_all_relays_unreachable_without_references_is_one_failed_check_until_it_is_over(
        self, checked: Checked
    ) -> None:
        checked.health.start()
        checked.egress = "all relays, or our network: 3 of 3 relays cannot be reached from here"
        assert await checked.is_local_fault()
        await asyncio.sleep(3600)
        assert checked.health.reasons == [checked.egress], "it pages as long as it lasts"
        checked.egress = None
        await asyncio.sleep(25)
        assert (checked.health.healthy, checked.changes) == (True, [False, True])
        assert checked.failed == [{"all_relays"}, set()]

    async def test_silent_name_servers_are_our_network_and_a_name_that_fails_is_the_relays(
        self, checked: Checked
    ) -> None:
        """Before, a dead resolver of this host took each relay down that has a name."""
        checked.health.start()
        assert not await checked.is_local_fault(UNRESOLVED)
        await asyncio.sleep(30)
        checked.names = "no name server answers: 10.0.0.2"
        assert not await checked.is_local_fault(REFUSED), "they are not asked unless a name is not resolved"
        assert await checked.is_local_fault(UNRESOLVED)
        await asyncio.sleep(600)
        assert checked.health.reasons == [checked.names]
        checked.names = None
        await asyncio.sleep(40)
        assert (checked.health.healthy, checked.failed) == (True, [{"network"}, set()])


@WITHOUT_SOCKETS
class TestSettingsFaults:
    async def test_a_fault_of_one_relays_settings_is_no_verdict_on_it_and_none_on_the_monitor(
        self, checked: Checked
    ) -> None:
        checked.relays = [FakeRelay(NO_ROUTE), FakeRelay()]
        assert await checked.is_local_fault(NO_ROUTE)
        assert checked.health.healthy

    @pytest.mark.parametrize(
        ("error", "why", "check"),
        [
            (NO_ROUTE, "no network: no IPv4 route from here to 192.0.2.1:80", "network"),
            (PROXY_DEAD, "all relays are reached through it: proxy p:8: Connection refused", "proxy"),
        ],
    )
    async def test_what_all_relays_share_is_the_monitors_until_one_can_be_asked_again(
        self, checked: Checked, error: SettingsError, why: str, check: str
    ) -> None:
        checked.health.start()
        checked.relays = [FakeRelay(error), FakeRelay(error)]
        await asyncio.sleep(300)
        assert checked.health.reasons == [why]
        checked.observable = True
        await asyncio.sleep(25)
        assert (checked.health.healthy, checked.changes) == (True, [False, True])
        assert checked.failed == [{check}, set()]

    async def test_different_faults_are_not_shared(self, checked: Checked) -> None:
        token = SettingsError(Step.HELLO, Reason.INTERNAL, "the secret in /token cannot be read")
        for errors in ((PROXY_DEAD, NO_ROUTE), (token, token), (PROXY_DEAD, None), ()):
            checked.relays = [FakeRelay(error) for error in errors]
            assert await checked.is_local_fault(PROXY_DEAD)
            assert checked.health.healthy


@WITHOUT_SOCKETS
class TestClock:
    async def test_an_expired_certificate_is_doubted_after_a_step_of_the_clock(self, checked: Checked) -> None:
        """Before, the relay was down 15 s after a step of 31 days for as long as the step lasted."""
        checked.health.start()
        await asyncio.sleep(2)
        checked.clock.step(31 * 86400)
        await asyncio.sleep(60)
        assert checked.health.healthy, "a step alone is over after 15 s"
        assert await checked.is_local_fault(EXPIRED)
        assert checked.health.reasons == [
            "wall clock stepped by +2678400 s, and the certificate of demo is invalid since"
        ]
        await asyncio.sleep(1800)
        assert checked.changes == [False, True, False]
        checked.clock.step(-31 * 86400)
        await asyncio.sleep(20)
        assert checked.health.healthy

    async def test_a_step_that_is_an_hour_old_excuses_no_certificate(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2)
        checked.clock.step(31 * 86400)
        await asyncio.sleep(60)
        assert await checked.is_local_fault(EXPIRED)
        await asyncio.sleep(3600)
        assert not await checked.is_local_fault(EXPIRED)

    async def test_a_small_step_or_none_excuses_no_certificate(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2)
        assert not await checked.is_local_fault(EXPIRED)
        checked.clock.step(2)
        await asyncio.sleep(30)
        assert not await checked.is_local_fault(EXPIRED)

    async def test_a_slewed_clock_is_no_step(self, checked: Checked) -> None:
        """A time server slews 500 ppm at most: 1 s in half an hour."""
        checked.health.start()
        for _ in range(4000):
            checked.clock.step(0.0005)
            await asyncio.sleep(1)
        assert checked.changes == []


class TestLoopback:
    async def test_a_message_is_delivered_within_seconds(self) -> None:
        before = asyncio.all_tasks()
        started = time.monotonic()
        assert await loopback_failed(SYSTEM_CLOCK) is None
        assert time.monotonic() - started < 3
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before

    async def test_proxy_variables_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert await loopback_failed(SYSTEM_CLOCK) is None

    async def test_a_failure_is_described(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.embedded.server.PATH", "/nowhere")
        monkeypatch.setattr("monitor.health.loopback.TIMEOUT", 0.3)

        async def ignore(*_: object) -> None:
            """Ignore the connection."""

        monkeypatch.setattr("monitor.embedded.server.EmbeddedRelay._handle", ignore)
        why = await loopback_failed(SYSTEM_CLOCK)
        assert why is not None
        assert why.startswith("loopback check failed: hello: ")
