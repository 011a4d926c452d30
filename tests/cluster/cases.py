"""The incidents, each with what docs/conditions.md promises for it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.balancer import http_response
from tests.cluster.incident import Case, Incident
from tests.e2e.observer import counters
from tests.relay_settings import signed_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.observer import Said

SEEN: Final = 30.0
"""Seconds within which a failure or a repair is seen on /metrics, with the shipped intervals."""

PAGED: Final = 90.0
"""Seconds within which a relay that is down pages."""

REPAIRED: Final = 60.0
"""Seconds within which a repair is seen."""

RESOLVED: Final = 240.0
"""Seconds from the repair to the receipt of "resolved"."""

STILL_FAILING: Final = 45.0
"""Seconds after a repair from which nothing more is booked as failed."""

OLD_KEY, NEW_KEY = "a key for tests", "another key for tests"


def is_down(said: Said) -> bool:
    """Return whether the relay is said to be down."""
    return said.up == 0 and said.accepting == 0 and said.state == "down"


def is_not_accepting(said: Said) -> bool:
    """Return whether only new connections are said to fail."""
    return said.up == 1 and said.accepting == 0 and said.state == "not_accepting"


def is_well(said: Said) -> bool:
    """Return whether the relay is said to deliver and to accept."""
    return said.up == 1 and said.accepting == 1


def is_degraded(said: Said) -> bool:
    """Return whether the relay is said to be degraded, and nothing worse."""
    return is_well(said) and said.state == "degraded"


def not_up(said: Said) -> bool:
    """Return whether the relay is said not to deliver."""
    return said.up != 1


async def _no_verdict(incident: Incident, *alerts: str, seconds: float) -> None:
    """Wait, and check that the relay was up and accepting all the time."""
    await incident.wait(seconds)
    incident.never("down", not_up)
    incident.never("not accepting", lambda said: said.accepting == 0)
    incident.only_pages(*alerts)


async def _repaired(incident: Incident, alert: str) -> None:
    """Check what is said, sent and booked after a repair that happened now."""
    repaired = time.monotonic()
    await incident.says("up and accepting", is_well, REPAIRED)
    await asyncio.sleep(max(0.0, STILL_FAILING - (time.monotonic() - repaired)))
    incident.before = await counters(incident.monitor, incident.name)
    await incident.resolves(alert, RESOLVED, repaired)
    failed = await incident.booked("relay_probe_failures_total", "reason")
    incident.check(
        f"nothing booked as failed later than {STILL_FAILING:g} s after the repair", good=not failed, found=failed
    )


async def _lost(incident: Incident) -> float:
    verdicts = await incident.booked("relay_probe_messages_total", "verdict")
    return verdicts.get("lost", 0.0)


async def healthy(incident: Incident) -> None:
    """Nothing happens."""
    await _no_verdict(incident, seconds=120)
    failures = await incident.booked("relay_probe_failures_total", "reason")
    incident.check("nothing booked as failed", good=not failures, found=failures or "")


async def rolling_restart(incident: Incident) -> None:
    """Each node is stopped and started, one after the other."""
    for node in incident.cluster.nodes:
        await node.stop()
        await asyncio.sleep(5)
        await node.start()
        await asyncio.sleep(15)
    await _no_verdict(incident, seconds=120)
    incident.check("no message lost", good=await _lost(incident) == 0, found=await incident.booked_failures())


async def one_node_killed(incident: Incident) -> None:
    """One node is killed; the balancer sends its clients to the other one."""
    await incident.cluster.nodes[0].kill()
    await _no_verdict(incident, seconds=120)
    incident.check("no message lost", good=await _lost(incident) == 0, found=await incident.booked_failures())


async def both_nodes_killed(incident: Incident) -> None:
    """Both nodes are killed, and started again."""
    for node in incident.cluster.nodes:
        await node.kill()
    await incident.says("down", is_down, SEEN)
    await incident.pages("RelayDown", PAGED)
    incident.only_pages("RelayDown")
    cause = incident.observer.now(incident.key).cause
    incident.check("the cause is the balancer's 502", good=cause == "upgrade http_status 502", found=cause)
    for node in incident.cluster.nodes:
        await node.start()
    await _repaired(incident, "RelayDown")
    incident.only_pages("RelayDown")


async def redis_emptied(incident: Incident) -> None:
    """All data of Redis is deleted, some times."""
    for number in range(9):
        await incident.wait(13.0 * number)  # at other times of the probes' periods each time
        await incident.cluster.redis.command("FLUSHALL")
    await _no_verdict(incident, "RelayMessagesLost", seconds=150)
    reasons = await incident.booked("relay_probe_failures_total", "reason")
    incident.check("epoch_changed is booked", good="epoch_changed" in reasons, found=await incident.booked_failures())


async def history_cut(incident: Incident) -> None:
    """The relay keeps messages for two seconds only: those to an absent wallet are lost, and it is not down."""
    await _no_verdict(incident, "RelayMessagesLost", seconds=150)
    incident.check("messages are lost", good=await _lost(incident) > 0, found=await incident.booked_failures())


async def history_refused(incident: Incident) -> None:
    """The relay's history is switched off (error 108): live delivery works."""
    for node in incident.cluster.nodes:
        node.settings = replace(node.settings, history_size=0, history_ttl=0)
        await node.restart()
    # The restarts alone may have degraded it before.
    await incident.says(
        "degraded by the history",
        lambda said: is_degraded(said) and said.cause.startswith(("recover", "history")),
        150,
    )
    await _no_verdict(incident, "RelayMessagesLost", "RelayErrorBudgetBurn", seconds=180)
    incident.check("no message is called lost", good=await _lost(incident) == 0, found=await incident.booked_failures())


async def token_rotated(incident: Incident) -> None:
    """The relay's key and the token in its file change."""
    (incident.folder / "token").write_text(signed_token(NEW_KEY), encoding="utf-8")
    await incident.cluster.set_client(token={"hmac_secret_key": NEW_KEY}, allow_anonymous_connect_without_token=False)
    await _no_verdict(incident, seconds=120)


async def token_missing(incident: Incident) -> None:
    """The relay comes to require a token, which the monitor does not have."""
    await incident.cluster.set_client(token={"hmac_secret_key": OLD_KEY}, allow_anonymous_connect_without_token=False)
    await incident.says("down", is_down, SEEN)
    cause = incident.observer.now(incident.key).cause
    incident.check("the cause says that it is not authorized", good=cause.startswith("hello unauthorized"), found=cause)
    await incident.pages("RelayDown", PAGED)
    await incident.cluster.set_client(token={}, allow_anonymous_connect_without_token=True)
    await _repaired(incident, "RelayDown")


async def threshold_changed(incident: Incident) -> None:
    """A threshold changes by a reload."""
    slos = [slo | {"threshold": "300ms"} if "threshold" in slo else slo for slo in incident.monitor.config["slos"]]
    incident.monitor.config["slos"] = slos
    incident.monitor.write()
    assert incident.monitor.program is not None
    incident.monitor.program.signal(signal.SIGHUP)
    await _no_verdict(incident, seconds=120)
    exchanges = await incident.booked("relay_probe_exchanges_total", "outcome")
    incident.check("counters go on", good=exchanges.get("ok", 0.0) > 0 and set(exchanges) == {"ok"}, found=exchanges)


async def monitor_restarted(incident: Incident) -> None:
    """The monitor is restarted while the relay is down: one page, no "resolved" before the repair."""
    for node in incident.cluster.nodes:
        await node.kill()
    await incident.says("down", is_down, SEEN)
    await incident.pages("RelayDown", PAGED)
    await incident.monitor.restart()
    await incident.wait(PAGED + 120)
    incident.never("up during the outage", lambda said: said.up == 1 and said.state not in {"up", "degraded"})
    resolved = [item["labels"]["alertname"] for _, _, item in incident.notifications("resolved")]
    incident.check("nothing resolved before the repair", good=not resolved, found=resolved or "")
    firing = [item for _, item, alert in incident.notifications() if alert["labels"]["alertname"] == "RelayDown"]
    incident.check("one page", good=incident.monitoring is None or len(firing) == 1, found=len(firing))
    for node in incident.cluster.nodes:
        await node.start()
    await _repaired(incident, "RelayDown")


async def dead_endpoint(incident: Incident) -> None:
    """One of two endpoints is dead: the relay is degraded, and the endpoint has a name.

    Half of the persistent pairs' time is lost, so that budgets page.
    """
    await incident.cluster.nodes[1].kill()
    await incident.says("degraded", is_degraded, 60)
    await _no_verdict(incident, "RelayErrorBudgetBurn", seconds=200)
    incident.check("no message lost", good=await _lost(incident) == 0, found=await incident.booked_failures())
    endpoints = await incident.booked("relay_endpoint_failures_total", "endpoint")
    named = [endpoint for endpoint in endpoints if incident.cluster.nodes[1].address in endpoint]
    incident.check(
        "failures are counted for this endpoint only", good=len(named) == len(endpoints) == 1, found=endpoints
    )
    warned = [
        f"{alert['labels']['alertname']}: {alert['annotations'].get('summary', '')}"
        for _, _, alert in incident.notifications()
        if alert["labels"].get("endpoint")
    ]
    incident.check(
        "a warning names the endpoint", good=incident.monitoring is None or bool(warned), found=warned[:1] or ""
    )


async def silent_endpoint(incident: Incident) -> None:
    """One endpoint gets no publication any more: its clients are connected, hear nothing, and it refuses new ones."""
    incident.cluster.nodes[1].link.cut()
    await incident.says("degraded", is_degraded, 120)
    await incident.pages("RelayPartialFailure", 180)
    await _no_verdict(incident, "RelayPartialFailure", "RelayErrorBudgetBurn", seconds=200)
    incident.check("booked", good=True, found=await incident.booked_failures())
    incident.cluster.nodes[1].link.restore()


async def silent_node(incident: Incident) -> None:
    """The same behind a balancer: each new pair has one end at the silent node, so that none succeeds.

    A persistent pair whose wallet is at the other node still delivers requests.
    """
    delivering = incident.cluster.balancer.backend_of(b"x-side: wallet")
    (silent,) = [node for node in incident.cluster.nodes if node.address != delivering]
    silent.link.cut()
    await incident.says("degraded or not accepting", lambda said: is_degraded(said) or is_not_accepting(said), 120)
    await incident.pages("RelayNotAccepting", 180)
    await incident.wait(200)
    incident.never("down", not_up)
    incident.only_pages("RelayNotAccepting", "RelayPartialFailure", "RelayErrorBudgetBurn")
    incident.check("booked", good=True, found=await incident.booked_failures())
    silent.link.restore()


async def redis_unreachable(incident: Incident) -> None:
    """Both nodes lose Redis: no message can be published."""
    await incident.cluster.connect_redis(connected=False)
    await incident.says("down", is_down, 60)
    await incident.pages("RelayDown", PAGED + 30)
    await incident.cluster.connect_redis(connected=True)
    await _repaired(incident, "RelayDown")


@asynccontextmanager
async def _occupied(url: str, connections: int) -> AsyncIterator[None]:
    """Hold connections to a relay, as many as it accepts."""
    flags = ("--connections", str(connections), "--duration", "600", "--ramp-up", "1", "--output", "/dev/null")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "load", "--target", url, "--scenario", "steady-state", *flags),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def connection_limit(incident: Incident) -> None:
    """Others take all connections that Centrifugo allows: it answers 503, and the monitor's own ones live on."""
    async with _occupied(incident.cluster.balancer.url, 100):
        await incident.says("not accepting", is_not_accepting, 90)
        cause = incident.observer.now(incident.key).cause
        incident.check("the cause is 503", good=cause == "upgrade http_status 503", found=cause)
        await incident.pages("RelayNotAccepting", 120)
        incident.never("down", not_up)
        incident.only_pages("RelayNotAccepting")
    await _repaired(incident, "RelayNotAccepting")


async def newcomers_refused(incident: Incident) -> None:
    """The balancer refuses new connections with 502, and existing ones live on."""
    incident.cluster.balancer.refusal = http_response(502)
    await incident.says("not accepting", is_not_accepting, 90)
    cause = incident.observer.now(incident.key).cause
    incident.check("the cause is 502", good=cause == "upgrade http_status 502", found=cause)
    await incident.pages("RelayNotAccepting", 120)
    incident.never("down", not_up)
    incident.only_pages("RelayNotAccepting")
    incident.cluster.balancer.refusal = None
    await _repaired(incident, "RelayNotAccepting")


CASES: Final = (
    Case(name="healthy", run=healthy, tls=True),
    Case(name="rolling-restart", run=rolling_restart),
    Case(name="one-node-killed", run=one_node_killed),
    Case(name="both-nodes-killed", run=both_nodes_killed, tls=True),
    Case(name="redis-emptied", run=redis_emptied),
    Case(name="redis-unreachable", run=redis_unreachable),
    Case(name="history-cut", run=history_cut, history_ttl=2),
    Case(name="history-refused", run=history_refused),
    Case(name="token-rotated", run=token_rotated, token=True),
    Case(name="token-missing", run=token_missing),
    Case(name="threshold-changed", run=threshold_changed, alone=True),
    Case(name="monitor-restarted", run=monitor_restarted, alone=True),
    Case(name="dead-endpoint", run=dead_endpoint, endpoints=True),
    Case(name="silent-node-balancer", run=silent_node, relay={"headers": {"wallet": {"X-Side": "wallet"}}}),
    Case(name="silent-node-endpoints", run=silent_endpoint, endpoints=True),
    Case(name="connection-limit", run=connection_limit, client={"connection_limit": 14}),
    Case(name="newcomers-refused", run=newcomers_refused, tls=True),
)
