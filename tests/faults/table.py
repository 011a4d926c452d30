"""The fault table: each fault, the scenario that meets it, and the exact expected result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.vocabulary import Outcome, Phase, Reason, Step, Verdict
from tests.faults import setups
from tests.faults.rows import Row, Setup
from tests.relay.harness import close_at_once, frame, idle, reset, responding, upgrading

if TYPE_CHECKING:
    from tests.relay.harness import Reader, Writer

OK, FAILED = Outcome.OK, Outcome.FAILED
DELIVERED, LATE, LOST, AWAY, DUPLICATED, CORRUPTED = (
    Verdict.DELIVERED, Verdict.LATE, Verdict.LOST, Verdict.UNRECOVERED, Verdict.DUPLICATED, Verdict.CORRUPTED,
)  # fmt: skip
TIMEOUT: Final = 0.6

SESSION_KEYS = {"timeout": "600ms", "settle": "0s", "messages": "1"}
OFFLINE_KEYS = {"timeout": "600ms", "delay": "300ms", "messages": "3"}
PERSISTENT_KEYS = {"timeout": "600ms", "connections": "1", "ramp_up": "0s", "duration": "1s"}
CONTINUOUS_KEYS = {"timeout": "600ms", "settle": "0s", "message_interval": "250ms", "pairs": "1", "duration": "1s"}
KEYS = {
    "realistic-session": SESSION_KEYS,
    "async-delivery": OFFLINE_KEYS,
    "steady-state": PERSISTENT_KEYS,
    "steady-messaging": CONTINUOUS_KEYS,
}


async def plain(_reader: Reader, writer: Writer) -> None:
    """Answer TLS bytes as a plain HTTP server does."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def row(
    fault: str,
    caused_by: str,
    setup: Setup,
    step: Step | None = None,
    reason: Reason | None = None,
    *verdicts: Verdict,
    scenario: str = "realistic-session",
    within: float = TIMEOUT + 0.9,
    real_time: bool = False,
    **keys: str,
) -> Row:
    return Row(
        fault=fault,
        caused_by=caused_by,
        setup=setup,
        scenario=scenario,
        keys=KEYS[scenario] | keys,
        outcome=OK if reason is None else FAILED,
        step=step,
        reason=reason,
        verdicts=verdicts,
        within=within,
        real_time=real_time,
    )


def plan(fault: str, spec: str, *expected: Any, **more: Any) -> Row:
    """Return a row of the embedded relay with the fault `spec`."""
    ping_interval, scheme = more.pop("ping_interval", 25.0), more.pop("scheme", "ws")
    setup = setups.embedded(spec, ping_interval=ping_interval, scheme=scheme)
    return row(fault, f"embedded relay, `{spec}`", setup, *expected, **more)


AFTER_HELLO: Final = setups.AfterPhase(Phase.HELLO, 1)
AFTER_PAIRING: Final = setups.AfterPhase(Phase.HISTORY, 4)
"""Each participant has read the history of the handshake channel and of the session channel."""
AFTER_STORING: Final = setups.AfterPhase(Phase.PUBLISH_ACK, 1 + int(OFFLINE_KEYS["messages"]))
"""The relay has acknowledged the offer and the messages to the offline wallet."""

LONGER: Final = TIMEOUT + 2.5
"""Seconds for a run that continues after the fault: the wallet answers a second later."""

CONNECTING: Final = (
    row("no listener on the port", "a closed port", setups.no_listener(), Step.TCP, Reason.REFUSED),
    row(
        "unknown host name", "DNS", setups.at_address("ws://relay.invalid/"),
        Step.RESOLVE, Reason.DNS, within=5.0,
    ),
    plan("connections are not accepted", "silent:at=tcp", Step.TCP, Reason.TIMEOUT),
    plan("no answer to the TLS handshake", "silent:at=tls", Step.TLS, Reason.SILENT, scheme="wss"),
    plan("no answer to the upgrade request", "silent:at=upgrade", Step.UPGRADE, Reason.SILENT),
    row("closed after accept", "a server", setups.server(close_at_once), Step.UPGRADE, Reason.RESET),
    row("reset after accept", "a server", setups.server(reset), Step.UPGRADE, Reason.RESET),
    row(
        "the upgrade response is not HTTP", "a server", setups.server(responding(b"SSH-2.0-OpenSSH_9\r\n")),
        Step.UPGRADE, Reason.BAD_UPGRADE,
    ),
    row(
        "status 200 instead of 101", "a server",
        setups.server(responding(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        Step.UPGRADE, Reason.HTTP_STATUS,
    ),
    row(
        "wrong Sec-WebSocket-Accept", "a server",
        setups.server(responding(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )),
        Step.UPGRADE, Reason.BAD_UPGRADE,
    ),
    row(
        "endless response header", "a server", setups.server(responding(b"HTTP/1.1 101 OK\r\nX: " + b"x" * 200_000)),
        Step.UPGRADE, Reason.TOO_LARGE,
    ),
    row(
        "incomplete upgrade response", "a server", setups.server(responding(b"HTTP/1.1 101 Switching Proto")),
        Step.UPGRADE, Reason.TIMEOUT,
    ),
    plan("status 404", "status:code=404", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("status 403", "status:code=403", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("status 502", "status:code=502", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("status 503 with Retry-After", "status:code=503,by=1", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("status 429 with Retry-After", "status:code=429,by=1", Step.UPGRADE, Reason.RATE_LIMITED),
)  # fmt: skip

TLS: Final = (
    row(
        "expired certificate", "TLS", setups.server(idle, tls="yes", scheme="wss", expired=True),
        Step.TLS, Reason.TLS_EXPIRED,
    ),
    row(
        "certificate for another name", "TLS",
        setups.server(idle, tls="yes", scheme="wss", name="other.example.com"), Step.TLS, Reason.TLS_NAME,
    ),
    row(
        "certificate of an untrusted authority", "TLS", setups.server(idle, tls="yes", scheme="wss", trusted=False),
        Step.TLS, Reason.TLS_UNTRUSTED,
    ),
    row(
        "client certificate required", "TLS", setups.handshake_failing(requires_client=True),
        Step.TLS, Reason.TLS_CLIENT_CERTIFICATE,
    ),
    row(
        "no common cipher suite", "TLS", setups.handshake_failing(ciphers="NULL:@SECLEVEL=0"),
        Step.TLS, Reason.PROTOCOL,
    ),
    row(
        "no TLS on the port", "a server", setups.server(plain, scheme="wss"),
        Step.TLS, Reason.PROTOCOL,
    ),
)  # fmt: skip

COMMANDS: Final = (
    *(
        plan(f"silent at the {step}", f"silent:at={step}", step, Reason.SILENT)
        for step in (Step.HELLO, Step.SUBSCRIBE, Step.HISTORY, Step.PUBLISH)
    ),
    plan("the hello is denied", "error:at=hello,code=101", Step.HELLO, Reason.UNAUTHORIZED),
    plan("the token has expired", "error:at=hello,code=109", Step.HELLO, Reason.EXPIRED),
    plan("a bad token", "close:at=hello,code=3500", Step.HELLO, Reason.UNAUTHORIZED),
    plan("too many connections", "close:at=hello,code=4503", Step.HELLO, Reason.DISCONNECTED),
    plan("the hello is rate limited", "error:at=hello,code=111", Step.HELLO, Reason.RATE_LIMITED),
    plan("a channel is denied", "error:at=subscribe,code=103", Step.SUBSCRIBE, Reason.DENIED),
    plan("no such namespace", "error:at=subscribe,code=102", Step.SUBSCRIBE, Reason.DENIED),
    plan("too many channels", "error:at=subscribe,code=106", Step.SUBSCRIBE, Reason.LIMIT),
    plan("an unrecoverable position", "error:at=subscribe,code=112", Step.SUBSCRIBE, Reason.UNRECOVERED),
    plan("an internal error at the subscribe", "error:at=subscribe,code=100", Step.SUBSCRIBE, Reason.RELAY_ERROR),
    plan("the history is not available", "error:at=history,code=108", Step.HISTORY, Reason.RELAY_ERROR),
    plan("the offer is refused", "error:at=publish,code=103", Step.PUBLISH, Reason.DENIED),
    plan("a message is refused", "error:at=publish,channel=session,code=100", Step.PUBLISH, Reason.RELAY_ERROR, AWAY),
    plan(
        "publishing is rate limited", "error:at=publish,channel=session,code=111",
        Step.PUBLISH, Reason.RATE_LIMITED, AWAY,
    ),
    plan(
        "a message is neither acknowledged nor stored", "silent:at=publish,channel=session",
        Step.PUBLISH, Reason.SILENT, AWAY,
    ),
    plan("closed at the hello", "close:at=hello,code=3501", Step.HELLO, Reason.UNAUTHORIZED),
    plan("reset at the hello", "reset:at=hello", Step.HELLO, Reason.DISCONNECTED),
    plan("closed at the subscribe", "close:at=subscribe,code=3000", Step.SUBSCRIBE, Reason.DISCONNECTED),
    plan("reset at the history", "reset:at=history", Step.HISTORY, Reason.DISCONNECTED),
    plan(
        "unsubscribed without resubscription", "unsubscribe:code=2000,channel=session",
        Step.ANSWER, Reason.DISCONNECTED, DELIVERED,
    ),
    plan("unsubscribed, then resubscribed", "unsubscribe:code=2500", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan(
        "closed with 3012 for a missing pong", "close:at=publish,channel=session,code=3012",
        Step.PUBLISH, Reason.DISCONNECTED, AWAY,
    ),
    plan("closed at a message", "close:at=publish,channel=session,code=3004", Step.PUBLISH, Reason.DISCONNECTED, AWAY),
)  # fmt: skip

FRAMES: Final = (
    plan("junk at the hello", "junk:at=hello", Step.HELLO, Reason.PROTOCOL),
    plan("junk at a message", "junk:at=publish,channel=session", Step.PUBLISH, Reason.PROTOCOL, AWAY),
    plan("bytes that are not a frame", "garbage:at=hello", Step.HELLO, Reason.PROTOCOL),
    plan("a binary frame", "binary:at=subscribe", Step.SUBSCRIBE, Reason.PROTOCOL),
    plan("a frame of two megabytes", "oversize:at=hello", Step.HELLO, Reason.TOO_LARGE),
    plan(
        "an endless message", "endless:at=subscribe", Step.SUBSCRIBE, Reason.TOO_LARGE,
        timeout="3s", within=8.0,
    ),
    plan("a frame sent byte by byte, too slowly", "drip:at=hello,by=0.1", Step.HELLO, Reason.TIMEOUT),
    row(
        "text that is not UTF-8", "a server", setups.server(upgrading(frame(1, b"\xff\xfe"))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a compressed frame without negotiation", "a server", setups.server(upgrading(frame(1, b"xx", rsv1=True))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "JSON nested too deeply", "a server", setups.server(upgrading(frame(1, b"[" * 60_000))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a number of ten thousand digits", "a server",
        setups.server(upgrading(frame(1, b'{"id":' + b"9" * 10_000 + b"}"))), Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a reply to a command never sent", "a server", setups.server(upgrading(frame(1, b'{"id":77,"publish":{}}'))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a reply of the wrong type", "a server", setups.server(upgrading(frame(1, b'{"id":1,"connect":[]}'))),
        Step.HELLO, Reason.PROTOCOL,
    ),
)  # fmt: skip

MESSAGES: Final = (
    plan("stored, never pushed", "drop:channel=session", Step.DELIVER, Reason.UNRECOVERED, AWAY),
    plan("acknowledged, never stored", "unstored:channel=session", Step.DELIVER, Reason.LOST, LOST),
    plan(
        "the answer is lost", "drop:channel=session,skip=1",
        Step.ANSWER, Reason.UNRECOVERED, DELIVERED, AWAY, within=LONGER,
    ),
    plan("delivered after the deadline", "delay:channel=session,by=0.9", Step.DELIVER, Reason.UNRECOVERED, LATE),
    plan(
        "delivered late, within the deadline", "delay:channel=session,by=0.2",
        None, None, DELIVERED, DELIVERED, within=LONGER,
    ),
    plan("pushed twice", "duplicate:channel=session", None, None, DUPLICATED, DUPLICATED, within=LONGER),
    plan("one character changed", "corrupt:channel=session", Step.DELIVER, Reason.CORRUPTED, CORRUPTED),
    plan("truncated message", "truncate:channel=session", Step.DELIVER, Reason.CORRUPTED, CORRUPTED),
    plan("pushed, never acknowledged", "unacked:channel=session", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("another epoch", "epoch:at=subscribe", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("an offset far ahead", "offset:at=subscribe", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("the offer is never pushed", "drop:channel=handshake", Step.HANDSHAKE, Reason.SILENT),
    plan("the offer is damaged", "corrupt:channel=handshake", Step.HANDSHAKE, Reason.UNDECRYPTABLE),
)  # fmt: skip

OFFLINE: Final = (
    plan(
        "no message to an offline wallet was stored", "unstored:channel=session",
        Step.RECOVER, Reason.LOST, LOST, LOST, LOST,
        scenario="async-delivery",
    ),
    plan(
        "one message to an offline wallet was not stored", "unstored:channel=session,skip=1,count=1",
        Step.RECOVER, Reason.LOST, DELIVERED, LOST, DELIVERED, scenario="async-delivery",
    ),
    plan(
        "the history is empty after the reconnect", "forget:at=history,channel=session,skip=2",
        Step.RECOVER, Reason.LOST, LOST, LOST, LOST,
        scenario="async-delivery",
    ),
    plan(
        "the history is in reverse order", "reorder:at=history,channel=session,skip=2",
        Step.RECOVER, Reason.REORDERED, Verdict.REORDERED, Verdict.REORDERED, DELIVERED, scenario="async-delivery",
    ),
    plan(
        "the history does not answer after the reconnect", "silent:at=history,channel=session,skip=2",
        # The command's own deadline is later than the recovery's by what the connect took.
        Step.HISTORY, Reason.SILENT, AWAY, AWAY, AWAY, scenario="async-delivery", within=LONGER, real_time=True,
    ),
)  # fmt: skip

PERSISTENT: Final = (
    plan(
        "a persistent connection is closed", "close:at=history,code=3004",
        None, None, scenario="steady-state", within=LONGER,
    ),
    plan(
        "pings stop", "pings", Step.HOLD, Reason.SILENT,
        scenario="steady-state", duration="13s", ping_interval=1.0, within=15.0,
    ),
    row(
        "the relay is killed under persistent connections", "engine", setups.engine(setups.kill, AFTER_HELLO),
        Step.HOLD, Reason.DISCONNECTED, scenario="steady-state", duration="5s",
    ),
    row(
        "the relay is stopped under persistent connections", "engine", setups.engine(setups.stop, AFTER_HELLO),
        Step.HOLD, Reason.DISCONNECTED, scenario="steady-state", duration="5s",
    ),
)  # fmt: skip

STEADY_MESSAGING: Final = (
    plan(
        "one answer of two is lost", "drop:channel=session,skip=1,count=1", Step.ANSWER, Reason.UNRECOVERED,
        DELIVERED, AWAY, DELIVERED, DELIVERED, scenario="steady-messaging", within=LONGER,
    ),
    plan(
        "the first of two exchanges is slow", "delay:channel=session,by=0.9,count=1", Step.DELIVER, Reason.UNRECOVERED,
        LATE, DELIVERED, DELIVERED, scenario="steady-messaging", within=LONGER,
    ),
)  # fmt: skip

SERVER: Final = (
    row(
        "the relay has no descriptors left", "engine, prlimit", setups.engine(setups.starve),
        Step.UPGRADE, Reason.SILENT,
    ),
    row("the relay is killed", "engine", setups.engine(setups.kill), Step.TCP, Reason.REFUSED),
    row("the relay hangs", "engine", setups.engine(setups.pause), Step.UPGRADE, Reason.SILENT),
    row(
        "the relay hangs during a session", "engine", setups.engine(setups.pause, AFTER_PAIRING),
        Step.PUBLISH, Reason.SILENT, AWAY, settle="700ms", within=LONGER,
    ),
    row(
        "the relay is killed during a session", "engine", setups.engine(setups.kill, AFTER_PAIRING),
        Step.DELIVER, Reason.DISCONNECTED, settle="700ms", within=LONGER,
    ),
    row(
        "the relay is restarted while the wallet is offline: new epoch, no history", "engine",
        setups.restarted(AFTER_STORING), Step.RECOVER, Reason.EPOCH_CHANGED, LOST, LOST, LOST,
        scenario="async-delivery", delay="2s", within=LONGER + 2,
    ),
)  # fmt: skip

NETWORK: Final = (
    row(
        "200 ms more latency", "toxiproxy, latency", setups.network("latency", latency=100),
        None, None, DELIVERED, DELIVERED, timeout="3s", within=8.0,
    ),
    row(
        "latency with jitter", "toxiproxy, latency", setups.network("latency", latency=50, jitter=40),
        None, None, DELIVERED, DELIVERED, timeout="3s", within=8.0,
    ),
    row(
        "two seconds more latency", "toxiproxy, latency", setups.network("latency", latency=2000),
        Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "no bandwidth to the monitor", "toxiproxy, bandwidth", setups.network("bandwidth", rate=0),
        Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "no bandwidth to the relay", "toxiproxy, bandwidth", setups.network("bandwidth", "upstream", rate=0),
        Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "data in small slices", "toxiproxy, slicer",
        setups.network("slicer", average_size=20, size_variation=10, delay=100), None, None, DELIVERED, DELIVERED,
        timeout="3s", within=8.0,
    ),
    row("data is dropped", "toxiproxy, timeout", setups.network("timeout", timeout=0), Step.UPGRADE, Reason.SILENT),
    row(
        "reset by a peer", "toxiproxy, reset_peer", setups.network("reset_peer", timeout=0),
        Step.UPGRADE, Reason.RESET,
    ),
    row(
        "silent, then reset", "toxiproxy, reset_peer", setups.network("reset_peer", timeout=300),
        Step.UPGRADE, Reason.RESET,
    ),
    row(
        "slow close", "toxiproxy, slow_close", setups.network("slow_close", delay=2000),
        None, None, DELIVERED, DELIVERED, within=LONGER,
    ),
    row(
        "connection cut after 300 bytes", "toxiproxy, limit_data", setups.network("limit_data", bytes=300),
        Step.SUBSCRIBE, Reason.DISCONNECTED,
    ),
)  # fmt: skip

TABLE: Final = (
    *CONNECTING,
    *TLS,
    *COMMANDS,
    *FRAMES,
    *MESSAGES,
    *OFFLINE,
    *PERSISTENT,
    *STEADY_MESSAGING,
    *SERVER,
    *NETWORK,
)
