"""The fault table: each fault, what is played against it, and exactly what must come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.vocabulary import Outcome, Phase, Reason, Step, Verdict
from tests.faults import scenes
from tests.faults.rows import LoadContext, Row
from tests.relay.harness import answering, frame, hang_up, idle, reset, saying

if TYPE_CHECKING:
    from tests.relay.harness import Reader, Writer

OK, FAILED = Outcome.OK, Outcome.FAILED
DELIVERED, LATE, LOST, DUPLICATED, CORRUPTED = (
    Verdict.DELIVERED, Verdict.LATE, Verdict.LOST, Verdict.DUPLICATED, Verdict.CORRUPTED,
)  # fmt: skip
TIMEOUT: Final = 0.6

SESSION = {"timeout": "600ms", "settle": "0s", "messages": "1"}
AWAY = {"timeout": "600ms", "delay": "300ms", "messages": "3"}
HOLD = {"timeout": "600ms", "connections": "1", "ramp_up": "0s", "duration": "1s"}
PERSISTENT = {"timeout": "600ms", "settle": "0s", "message_interval": "250ms", "pairs": "1", "duration": "1s"}
PLAYED = {
    "realistic-session": SESSION,
    "async-delivery": AWAY,
    "steady-state": HOLD,
    "steady-messaging": PERSISTENT,
}


async def plain(_reader: Reader, writer: Writer) -> None:
    """Answer whatever comes as a web server does that was never asked."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def row(
    fault: str,
    on: str,
    scene: LoadContext,
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
        on=on,
        scene=scene,
        scenario=scenario,
        keys=PLAYED[scenario] | keys,
        outcome=OK if reason is None else FAILED,
        step=step,
        reason=reason,
        verdicts=verdicts,
        within=within,
        real_time=real_time,
    )


def plan(fault: str, spec: str, *expected: Any, **more: Any) -> Row:
    """A row of the embedded relay; `spec` is its fault."""
    ping_interval, scheme = more.pop("ping_interval", 25.0), more.pop("scheme", "ws")
    scene = scenes.embedded(spec, ping_interval=ping_interval, scheme=scheme)
    return row(fault, f"embedded relay, `{spec}`", scene, *expected, **more)


GREETED: Final = scenes.Once(Phase.HELLO, 1)
PAIRED: Final = scenes.Once(Phase.HISTORY, 4)
"""Each end has read the channel of the handshake and that of the session."""
STORED: Final = scenes.Once(Phase.PUBLISH_ACK, 1 + int(AWAY["messages"]))
"""The offer was taken, and so were the messages to the absent wallet."""

LONGER: Final = TIMEOUT + 2.5
"""A run that goes on after the fault: the wallet waits a second before it answers."""

GETTING_IN: Final = (
    row("nobody listens", "a closed port", scenes.nobody(), Step.TCP, Reason.REFUSED),
    row(
        "the name does not exist", "DNS", scenes.somewhere("ws://relay.invalid/"),
        Step.RESOLVE, Reason.DNS, within=5.0,
    ),
    plan("nobody accepts", "silent:at=tcp", Step.TCP, Reason.TIMEOUT),
    plan("accepted, and no TLS answer", "silent:at=tls", Step.TLS, Reason.SILENT, scheme="wss"),
    plan("accepted, and no answer to the upgrade", "silent:at=upgrade", Step.UPGRADE, Reason.SILENT),
    row("closed when accepted", "a server", scenes.server(hang_up), Step.UPGRADE, Reason.RESET),
    row("reset when accepted", "a server", scenes.server(reset), Step.UPGRADE, Reason.RESET),
    row(
        "the answer is not HTTP", "a server", scenes.server(answering(b"SSH-2.0-OpenSSH_9\r\n")),
        Step.UPGRADE, Reason.BAD_UPGRADE,
    ),
    row(
        "an answer of 200", "a server", scenes.server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        Step.UPGRADE, Reason.HTTP_STATUS,
    ),
    row(
        "another key is accepted", "a server",
        scenes.server(answering(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )),
        Step.UPGRADE, Reason.BAD_UPGRADE,
    ),
    row(
        "a header without an end", "a server", scenes.server(answering(b"HTTP/1.1 101 OK\r\nX: " + b"x" * 200_000)),
        Step.UPGRADE, Reason.TOO_LARGE,
    ),
    row(
        "half of the answer to the upgrade", "a server", scenes.server(answering(b"HTTP/1.1 101 Switching Proto")),
        Step.UPGRADE, Reason.TIMEOUT,
    ),
    plan("refused with 404", "status:code=404", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("refused with 403", "status:code=403", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("a bad gateway", "status:code=502", Step.UPGRADE, Reason.HTTP_STATUS),
    plan("asked to come back later", "status:code=503,by=1", Step.UPGRADE, Reason.RATE_LIMITED),
    plan("too many requests", "status:code=429,by=1", Step.UPGRADE, Reason.RATE_LIMITED),
)  # fmt: skip

TLS: Final = (
    row(
        "the certificate has expired", "TLS", scenes.server(idle, tls="yes", scheme="wss", expired=True),
        Step.TLS, Reason.TLS_EXPIRED,
    ),
    row(
        "the certificate is another name's", "TLS",
        scenes.server(idle, tls="yes", scheme="wss", name="other.example.com"), Step.TLS, Reason.TLS_NAME,
    ),
    row(
        "an authority nobody trusts", "TLS", scenes.server(idle, tls="yes", scheme="wss", trusted=False),
        Step.TLS, Reason.TLS_UNTRUSTED,
    ),
    row(
        "a client certificate is asked for", "TLS", scenes.demanding_a_certificate(),
        Step.TLS, Reason.TLS_CLIENT_CERTIFICATE,
    ),
    row(
        "no TLS where TLS is expected", "a server", scenes.server(plain, scheme="wss"),
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
    plan("a position that cannot be recovered", "error:at=subscribe,code=112", Step.SUBSCRIBE, Reason.UNRECOVERED),
    plan("an internal error at the subscribe", "error:at=subscribe,code=100", Step.SUBSCRIBE, Reason.RELAY_ERROR),
    plan("the history is not available", "error:at=history,code=108", Step.HISTORY, Reason.RELAY_ERROR),
    plan("the offer is refused", "error:at=publish,code=103", Step.PUBLISH, Reason.DENIED),
    plan("a message is refused", "error:at=publish,channel=session,code=100", Step.PUBLISH, Reason.RELAY_ERROR, LOST),
    plan(
        "publishing is rate limited", "error:at=publish,channel=session,code=111",
        Step.PUBLISH, Reason.RATE_LIMITED, LOST,
    ),
    plan(
        "a message is not acked, and not taken", "silent:at=publish,channel=session",
        Step.PUBLISH, Reason.SILENT, LOST,
    ),
    plan("closed at the hello", "close:at=hello,code=3501", Step.HELLO, Reason.DISCONNECTED),
    plan("reset at the hello", "reset:at=hello", Step.HELLO, Reason.DISCONNECTED),
    plan("closed at the subscribe", "close:at=subscribe,code=3000", Step.SUBSCRIBE, Reason.DISCONNECTED),
    plan("reset at the history", "reset:at=history", Step.HISTORY, Reason.DISCONNECTED),
    plan(
        "told to stay unsubscribed", "unsubscribe:code=2000,channel=session",
        Step.ANSWER, Reason.DISCONNECTED, DELIVERED,
    ),
    plan("unsubscribed, and welcome again", "unsubscribe:code=2500", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan(
        "closed for want of a pong", "close:at=publish,channel=session,code=3012",
        Step.PUBLISH, Reason.DISCONNECTED, LOST,
    ),
    plan("closed at a message", "close:at=publish,channel=session,code=3004", Step.PUBLISH, Reason.DISCONNECTED, LOST),
)  # fmt: skip

FRAMES: Final = (
    plan("junk at the hello", "junk:at=hello", Step.HELLO, Reason.PROTOCOL),
    plan("junk at a message", "junk:at=publish,channel=session", Step.PUBLISH, Reason.PROTOCOL, LOST),
    plan("bytes that are no frame", "garbage:at=hello", Step.HELLO, Reason.PROTOCOL),
    plan("a binary frame", "binary:at=subscribe", Step.SUBSCRIBE, Reason.PROTOCOL),
    plan("a frame of two megabytes", "oversize:at=hello", Step.HELLO, Reason.TOO_LARGE),
    plan(
        "a message without an end", "endless:at=subscribe", Step.SUBSCRIBE, Reason.TOO_LARGE,
        timeout="3s", within=8.0,
    ),
    plan("a slow drip", "drip:at=hello,by=0.1", Step.HELLO, Reason.TIMEOUT),
    row(
        "text that is not UTF-8", "a server", scenes.server(saying(frame(1, b"\xff\xfe"))), Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a compressed frame nobody agreed on", "a server", scenes.server(saying(frame(1, b"xx", rsv1=True))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "JSON nested too deeply", "a server", scenes.server(saying(frame(1, b"[" * 60_000))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a number of ten thousand digits", "a server",
        scenes.server(saying(frame(1, b'{"id":' + b"9" * 10_000 + b"}"))), Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a reply to a command never sent", "a server", scenes.server(saying(frame(1, b'{"id":77,"publish":{}}'))),
        Step.HELLO, Reason.PROTOCOL,
    ),
    row(
        "a reply of another shape", "a server", scenes.server(saying(frame(1, b'{"id":1,"connect":[]}'))),
        Step.HELLO, Reason.PROTOCOL,
    ),
)  # fmt: skip

MESSAGES: Final = (
    plan("stored, and never pushed", "drop:channel=session", Step.DELIVER, Reason.LOST, LOST),
    plan("acked, and never stored", "unstored:channel=session", Step.DELIVER, Reason.LOST, LOST),
    plan("the answer is lost", "drop:channel=session,skip=1", Step.ANSWER, Reason.LOST, DELIVERED, LOST, within=LONGER),
    plan("late by more than its deadline", "delay:channel=session,by=0.9", Step.DELIVER, Reason.LOST, LATE),
    plan("late by less", "delay:channel=session,by=0.2", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("pushed twice", "duplicate:channel=session", None, None, DUPLICATED, DUPLICATED, within=LONGER),
    plan("a character changed", "corrupt:channel=session", Step.DELIVER, Reason.CORRUPTED, CORRUPTED),
    plan("cut in the middle", "truncate:channel=session", Step.DELIVER, Reason.CORRUPTED, CORRUPTED),
    plan("pushed, and never acked", "unacked:channel=session", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("another epoch", "epoch:at=subscribe", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("an offset far ahead", "offset:at=subscribe", None, None, DELIVERED, DELIVERED, within=LONGER),
    plan("the offer is never pushed", "drop:channel=handshake", Step.HANDSHAKE, Reason.SILENT),
    plan("the offer is damaged", "corrupt:channel=handshake", Step.HANDSHAKE, Reason.UNDECRYPTABLE),
)  # fmt: skip

ABSENCE: Final = (
    plan(
        "nothing of an absence was stored", "unstored:channel=session", Step.RECOVER, Reason.LOST, LOST, LOST, LOST,
        scenario="async-delivery",
    ),
    plan(
        "one message of an absence was not stored", "unstored:channel=session,skip=1,count=1",
        Step.RECOVER, Reason.LOST, DELIVERED, LOST, DELIVERED, scenario="async-delivery",
    ),
    plan(
        "the history forgets", "forget:at=history,channel=session,skip=2", Step.RECOVER, Reason.LOST, LOST, LOST, LOST,
        scenario="async-delivery",
    ),
    plan(
        "the history has them in the opposite order", "reorder:at=history,channel=session,skip=2",
        Step.RECOVER, Reason.REORDERED, Verdict.REORDERED, Verdict.REORDERED, DELIVERED, scenario="async-delivery",
    ),
    plan(
        "the history does not answer the wallet that came back", "silent:at=history,channel=session,skip=2",
        # The command's own deadline is later than the recovery's by what the connect took.
        Step.HISTORY, Reason.SILENT, LOST, LOST, LOST, scenario="async-delivery", within=LONGER, real_time=True,
    ),
)  # fmt: skip

HELD: Final = (
    plan(
        "a held connection is closed", "close:at=history,code=3004",
        None, None, scenario="steady-state", within=LONGER,
    ),
    plan(
        "no ping comes any more", "pings", Step.HOLD, Reason.SILENT,
        scenario="steady-state", duration="13s", ping_interval=1.0, within=15.0,
    ),
    row(
        "the relay is killed while connections are held", "engine", scenes.engine(scenes.kill, GREETED),
        Step.HOLD, Reason.DISCONNECTED, scenario="steady-state", duration="5s",
    ),
    row(
        "the relay is stopped while connections are held", "engine", scenes.engine(scenes.stop, GREETED),
        Step.HOLD, Reason.DISCONNECTED, scenario="steady-state", duration="5s",
    ),
)  # fmt: skip

STEADY: Final = (
    plan(
        "one answer of two is lost", "drop:channel=session,skip=1,count=1", Step.ANSWER, Reason.LOST,
        DELIVERED, LOST, DELIVERED, DELIVERED, scenario="steady-messaging", within=LONGER,
    ),
    plan(
        "the first of two exchanges is slow", "delay:channel=session,by=0.9,count=1", Step.DELIVER, Reason.LOST,
        LATE, DELIVERED, DELIVERED, scenario="steady-messaging", within=LONGER,
    ),
)  # fmt: skip

SERVER: Final = (
    row(
        "the relay has no descriptors left", "engine, prlimit", scenes.engine(scenes.starve),
        Step.UPGRADE, Reason.SILENT,
    ),
    row("the relay is killed", "engine", scenes.engine(scenes.kill), Step.TCP, Reason.REFUSED),
    row("the relay hangs", "engine", scenes.engine(scenes.pause), Step.UPGRADE, Reason.SILENT),
    row(
        "the relay hangs amid a session", "engine", scenes.engine(scenes.pause, PAIRED),
        Step.PUBLISH, Reason.SILENT, LOST, settle="700ms", within=LONGER,
    ),
    row(
        "the relay is killed amid a session", "engine", scenes.engine(scenes.kill, PAIRED),
        Step.DELIVER, Reason.DISCONNECTED, settle="700ms", within=LONGER,
    ),
    row(
        "the relay is restarted while the wallet is away: another epoch, nothing stored", "engine",
        scenes.restarted(STORED), Step.RECOVER, Reason.EPOCH_CHANGED, LOST, LOST, LOST,
        scenario="async-delivery", delay="2s", within=LONGER + 2,
    ),
)  # fmt: skip

NETWORK: Final = (
    row(
        "200 ms more each way", "toxiproxy, latency", scenes.proxied("latency", latency=100),
        None, None, DELIVERED, DELIVERED, timeout="3s", within=8.0,
    ),
    row(
        "latency with jitter", "toxiproxy, latency", scenes.proxied("latency", latency=50, jitter=40),
        None, None, DELIVERED, DELIVERED, timeout="3s", within=8.0,
    ),
    row(
        "two seconds more", "toxiproxy, latency", scenes.proxied("latency", latency=2000), Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "no bandwidth towards us", "toxiproxy, bandwidth", scenes.proxied("bandwidth", rate=0),
        Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "no bandwidth towards the relay", "toxiproxy, bandwidth", scenes.proxied("bandwidth", "upstream", rate=0),
        Step.UPGRADE, Reason.SILENT,
    ),
    row(
        "everything in small slices", "toxiproxy, slicer",
        scenes.proxied("slicer", average_size=20, size_variation=10, delay=100), None, None, DELIVERED, DELIVERED,
        timeout="3s", within=8.0,
    ),
    row("data goes nowhere", "toxiproxy, timeout", scenes.proxied("timeout", timeout=0), Step.UPGRADE, Reason.SILENT),
    row(
        "reset by a peer", "toxiproxy, reset_peer", scenes.proxied("reset_peer", timeout=0),
        Step.UPGRADE, Reason.RESET,
    ),
    row(
        "silent, then reset", "toxiproxy, reset_peer", scenes.proxied("reset_peer", timeout=300),
        Step.UPGRADE, Reason.RESET,
    ),
    row(
        "closes slowly", "toxiproxy, slow_close", scenes.proxied("slow_close", delay=2000),
        None, None, DELIVERED, DELIVERED, within=LONGER,
    ),
    row(
        "cut after so many bytes", "toxiproxy, limit_data", scenes.proxied("limit_data", bytes=300),
        Step.SUBSCRIBE, Reason.DISCONNECTED,
    ),
)  # fmt: skip

TABLE: Final = (*GETTING_IN, *TLS, *COMMANDS, *FRAMES, *MESSAGES, *ABSENCE, *HELD, *STEADY, *SERVER, *NETWORK)
