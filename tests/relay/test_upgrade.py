"""The upgrade: each response of a server, by step and reason."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import __version__
from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.relay.target import Target
from monitor.relay.upgrade import MAX_RESPONSE_BYTES, UpgradeResponse, handshake
from monitor.vocabulary import Phase, Reason, Step
from tests.relay.harness import (
    TEXT,
    accepting,
    close_at_once,
    frame,
    header,
    idle,
    read_request,
    reset,
    responding,
    serving,
)

if TYPE_CHECKING:
    from tests.relay.harness import Reader, RecordingObserver, Script, Writer

_101 = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def accepting_with(*more: str) -> Script:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader), *more))
        await idle(reader, writer)

    return script


async def endless_headers(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0)


async def endless_line(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")
    while True:
        writer.write(b"a" * 4096)
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("script", "reason", "detail"),
    [
        (close_at_once, Reason.RESET, "lost before"),
        (reset, Reason.RESET, "lost before"),
        (responding(b"SSH-2.0-OpenSSH_9.2\r\n"), Reason.BAD_UPGRADE, "not HTTP"),
        (responding(b"+OK\r\n"), Reason.BAD_UPGRADE, "not HTTP"),
        (responding(bytes(range(128, 192))), Reason.BAD_UPGRADE, "not HTTP"),
        (responding(b"HTTP/2 200\r\n\r\n"), Reason.BAD_UPGRADE, "not HTTP"),
        (responding(b"HTTP/1.1 200 OK\r\n\r\n<html>"), Reason.HTTP_STATUS, "HTTP 200 OK"),
        (responding(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99999\r\n\r\n"), Reason.HTTP_STATUS, "HTTP 502 Bad"),
        (responding(b"HTTP/1.0 503 Service Unavailable\r\n\r\n"), Reason.HTTP_STATUS, "HTTP 503 Service"),
        (responding(b"HTTP/1.1 403 \x1b[31mNo\r\n\r\n"), Reason.HTTP_STATUS, "HTTP 403 [31mNo"),
        (responding(b"HTTP/1.1 404\r\n\r\n"), Reason.HTTP_STATUS, "HTTP 404"),
        (responding(_101 + b"Sec-WebSocket-Accept: AAAA\r\n\r\n"), Reason.BAD_UPGRADE, "Accept"),
        (responding(_101 + b"\r\n"), Reason.BAD_UPGRADE, "Accept"),
        (responding(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Reason.BAD_UPGRADE, "Connection"),
        (responding(_101 + b"no colon\r\n\r\n"), Reason.BAD_UPGRADE, "malformed"),
        (responding(_101.replace(b"\r\n", b"\n") + b"\n"), Reason.BAD_UPGRADE, "CR"),
        (accepting_with("Sec-WebSocket-Extensions: permessage-deflate"), Reason.BAD_UPGRADE, "extensions"),
        (accepting_with("Sec-WebSocket-Protocol: mqtt"), Reason.BAD_UPGRADE, "subprotocols"),
        (endless_headers, Reason.TOO_LARGE, "exceeds 64 KiB"),
        (endless_line, Reason.TOO_LARGE, "exceeds 64 KiB"),
    ],
)
async def test_a_server_that_does_not_upgrade_is_reported_by_step_and_reason(
    observer: RecordingObserver, script: Script, reason: Reason, detail: str
) -> None:
    async with serving(script) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.UPGRADE, reason)
    assert detail in caught.value.detail
    assert observer.steps == [Step.RESOLVE, Step.TCP, Step.UPGRADE]
    assert list(observer.phases) == [Phase.RESOLVE, Phase.TCP]
    assert not observer.closes, "a connection that never opened reports no close"


def upgrading_by(first: bytes, *lines: bytes) -> Script:
    """Return a script that upgrades with this status line, and these lines before its own headers."""

    async def script(reader: Reader, writer: Writer) -> None:
        own = accepting(await read_request(reader)).split(b"\r\n")[1:]
        writer.write(b"\r\n".join([first, *lines, *own]) + frame(TEXT, b"open"))
        await idle(reader, writer)

    return script


OK = b"HTTP/1.1 101 Switching Protocols"


# Chromium 156 and Node.js 20 open each of these, and 64 KiB is the bound here (16 KiB in Node.js, 256 KiB in Chromium).
@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (OK, []),
        (b"HTTP/1.0 101 Switching Protocols", []),
        (b"HTTP/1.1 101", []),
        (b"HTTP/1.1 101 ", []),
        ("HTTP/1.1 101 été".encode(), []),
        (OK, [b"Content-Security-Policy: " + b"a" * 8_500]),
        (OK, [b"Content-Security-Policy: " + b"a" * 62_000]),
        (OK, [b"Set-Cookie: a=b"] * 200),
        (OK, [b"X-Empty:", b"X-Odd: \x80\xff\t"]),
        (OK, [b"Content-Length: 0"]),
        (OK, [b"Transfer-Encoding: chunked"]),
    ],
)
async def test_a_response_that_browsers_and_node_accept_opens_the_websocket(
    observer: RecordingObserver, first: bytes, lines: list[bytes]
) -> None:
    async with serving(upgrading_by(first, *lines)) as port:
        transport = await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))
        await observer.until(lambda: observer.texts)
        transport.abort()
    assert observer.texts == ["open"]


# Node.js 20 refuses each of these; Chromium opens some.
@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (b"HTTP/1.2 101 Switching Protocols", []),
        (OK, [b"no colon"]),
        (OK, [b"X Name: 1"]),
        (OK, [b"X-Name : 1"]),
        (OK, [b"X-Name: 1", b" folded"]),
        (OK, [b"X-Name: a\x01b"]),
        (OK, [b"X-Name: a\nb"]),
        (OK, [b"Sec-WebSocket-Accept: AAAA"]),
        (OK, [b"Sec-WebSocket-Protocol: " + b"a" * 9_000]),
    ],
)
async def test_a_response_that_node_refuses_is_a_bad_upgrade(
    observer: RecordingObserver, first: bytes, lines: list[bytes]
) -> None:
    async with serving(upgrading_by(first, *lines)) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.UPGRADE, Reason.BAD_UPGRADE)


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", 0.0),
        (b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\r\n", 7.0),
        (b"HTTP/1.1 503 Busy\r\nRetry-After:  120 \r\n\r\n", 120.0),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n", 60.0),
        # The three formats of a date, in the future.
        (b"HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 2089 08:49:37 GMT\r\n\r\n", 60.0),
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: Sunday, 06-Nov-89 08:49:37 GMT\r\n\r\n", 60.0),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: Sun Nov  6 08:49:37 2089\r\n\r\n", 60.0),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: -1\r\n\r\n", 60.0),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n", 3600.0),
    ],
)
async def test_retry_after_is_parsed_and_bounded(observer: RecordingObserver, response: bytes, seconds: float) -> None:
    async with serving(responding(response)) as port:
        with pytest.raises(RateLimitedError) as caught:
            await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))
    reason = Reason.RATE_LIMITED if b" 429 " in response else Reason.HTTP_STATUS
    assert (caught.value.step, caught.value.reason) == (Step.UPGRADE, reason)
    assert caught.value.retry_after == seconds


async def test_a_silent_upgrade_ends_when_the_caller_cancels(observer: RecordingObserver) -> None:
    async with serving(idle) as port:
        await observer.cancel_dial(Target(url=f"ws://127.0.0.1:{port}"), at=Step.UPGRADE)
    assert observer.steps[-1] is Step.UPGRADE
    assert Phase.UPGRADE not in observer.phases


async def test_a_response_sent_byte_by_byte_opens_the_websocket(observer: RecordingObserver) -> None:
    async def drip(reader: Reader, writer: Writer) -> None:
        for byte in accepting(await read_request(reader)):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await idle(reader, writer)

    async with serving(drip) as port:
        transport = await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))
        assert transport.is_open
        transport.abort()


async def test_the_request_has_each_header_of_the_target_once(observer: RecordingObserver) -> None:
    requests = []

    async def script(reader: Reader, writer: Writer) -> None:
        requests.append(await read_request(reader))
        writer.write(accepting(requests[0], "Sec-WebSocket-Protocol: centrifuge-json"))
        await idle(reader, writer)

    async with serving(script) as port:
        target = Target(
            url=f"ws://127.0.0.1:{port}/connection/websocket?a=b",
            headers=(("X-Key", "one"), ("host", "relay.example")),
            origin="https://app.example",
            subprotocols=("centrifuge-json",),
        )
        (await observer.dial(target)).abort()
    [request] = requests
    assert request.startswith("GET /connection/websocket?a=b HTTP/1.1\r\n")
    assert header(request, "Host") == "relay.example"
    assert header(request, "X-Key") == "one"
    assert header(request, "Origin") == "https://app.example"
    assert header(request, "User-Agent") == f"relay-monitor/{__version__}"
    assert header(request, "Sec-WebSocket-Extensions") is None, "no compression is offered"


@pytest.mark.parametrize(
    "target",
    [
        Target(url="ws://127.0.0.1:1", headers=(("X-Key", "secret\r\nX-Other: 1"),)),
        Target(url="ws://127.0.0.1:1", headers=(("X-Key", "secret\u20ac"),)),
        Target(url="ws://127.0.0.1:1", headers=(("X Key", "secret"),)),
        Target(url="ws://127.0.0.1:1", origin="secret\n"),
        Target(url="http://secret"),
        Target(url="ws://host:secret"),
        Target(url="ws://secret@host"),
    ],
)
async def test_an_invalid_target_is_a_local_error_without_its_secrets(
    observer: RecordingObserver, target: Target
) -> None:
    with pytest.raises(LocalError) as caught:
        await observer.dial(target)
    assert caught.value.reason is Reason.INTERNAL
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert observer.steps == []


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 101 ", b"HTTP/1.1 503 \r\nRetry-After:"])
)
def test_any_response_gives_the_same_result_however_it_is_split(noise: bytes, start: bytes) -> None:
    def result_of(*parts: bytes) -> object:
        response = UpgradeResponse(handshake(Target(url="ws://relay.example")))
        try:
            return [response.receive(part) for part in parts][-1]
        except ProbeError as error:
            return error.step, error.reason

    complete = start + noise + b"\r\n\r\n"
    half = len(complete) // 2
    assert result_of(complete) == result_of(complete[:half], complete[half:])


def test_the_size_of_a_response_is_limited() -> None:
    response = UpgradeResponse(handshake(Target(url="ws://relay.example")))
    assert not response.receive(b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_RESPONSE_BYTES - 100))
    with pytest.raises(ProbeError) as caught:
        response.receive(b"a" * 200)
    assert caught.value.reason is Reason.TOO_LARGE
