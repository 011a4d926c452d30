"""The smallest client with the same frames, JSON and encryption: what an exchange costs without measuring.

`python -m bench.minimal_client URL PAIRS INTERVAL PAUSE WINDOW [RAMP]` prints the CPU seconds and exchanges of the
window as JSON. The pairs start within RAMP seconds, or one cycle. Both peers subscribe to one channel; the dApp
publishes an encrypted request; the wallet decrypts it, waits INTERVAL, and publishes an encrypted answer; the dApp
decrypts that and waits INTERVAL and PAUSE. Frames are those of websockets' Sans-I/O layer, as in the monitor, JSON is
the standard library's, encryption is `monitor.session.crypto`. It has no pairing, history, retries, de-duplication,
deadlines, verdicts or metrics.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from typing import Any

import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from bench import frames
from monitor.relays import freeze_gc
from monitor.session.crypto import Ecies, KeyPair

CRYPTO = Ecies()
ADDRESS = "0x" + "1" * 40


class Peer(asyncio.Protocol):
    """One peer of a pair."""

    def __init__(self, url: str, channel: str, keys: KeyPair, theirs: bytes, pair: Pair) -> None:
        self.ws = ClientProtocol(parse_uri(url))
        self.channel, self.keys, self.theirs, self.pair = channel, keys, theirs, pair
        self.client = str(uuid.uuid4())
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.nonce = self.last = self.seen = 0

    def connection_made(self, transport: Any) -> None:
        """Send the upgrade request."""
        self.transport = transport
        self.ws.send_request(self.ws.connect())
        self.flush()

    def flush(self) -> None:
        """Write the bytes that the protocol has queued."""
        for data in self.ws.data_to_send():
            self.transport.write(data)

    def command(self, **command: Any) -> None:
        """Send a command."""
        self.last += 1
        self.ws.send_text(json.dumps({"id": self.last} | command, separators=(",", ":")).encode())
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Process frames."""
        self.ws.receive_data(data)
        for event in self.ws.events_received():
            if not isinstance(event, Frame):
                self.command(connect={"name": "minimal"})
                continue
            for line in str(event.data, "utf-8").split("\n"):
                self.handle(json.loads(line))

    def handle(self, item: dict[str, Any]) -> None:
        """Process one reply or push."""
        if "push" in item:
            envelope = json.loads(item["push"]["pub"]["data"])
            if envelope["clientId"] != self.client and envelope["nonce"] > self.seen:
                self.seen = envelope["nonce"]
                message = json.loads(CRYPTO.decrypt(envelope["payload"], self.keys.private_key))
                self.pair.received(self, message["payload"])
        elif "connect" in item:
            self.command(subscribe={"channel": self.channel, "positioned": True, "recoverable": True})
        elif "subscribe" in item:
            self.ready.set_result(None)
        elif not item:
            self.ws.send_text(b"{}")
            self.flush()

    def send(self, payload: dict[str, Any]) -> None:
        """Encrypt and publish a message."""
        self.nonce += 1
        sealed = CRYPTO.encrypt(json.dumps({"type": "message", "payload": payload}), self.theirs)
        data = json.dumps({"clientId": self.client, "nonce": self.nonce, "payload": sealed}, separators=(",", ":"))
        self.command(publish={"channel": self.channel, "data": data})


class Pair:
    """A dApp and a wallet."""

    exchanges = 0

    async def run(self, url: str, start: float, interval: float, pause: float) -> None:
        """Connect both peers and send the first request."""
        await asyncio.sleep(start)
        loop = asyncio.get_running_loop()
        channel = f"session:{uuid.uuid4()}"
        dapp, wallet = CRYPTO.generate(), CRYPTO.generate()
        self.dapp = Peer(url, channel, dapp, wallet.public_key, self)
        self.wallet = Peer(url, channel, wallet, dapp.public_key, self)
        for peer in (self.dapp, self.wallet):
            await loop.create_connection(lambda peer=peer: peer, *frames.address(url))  # type: ignore[misc]
            await peer.ready
        self.interval, self.pause = interval, pause
        self.request()

    def request(self) -> None:
        """Send a request."""
        params = ["0x" + "0" * 16, ADDRESS]
        self.dapp.send({"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": "personal_sign", "params": params})

    def received(self, peer: Peer, payload: dict[str, Any]) -> None:
        """Answer a request, or send the next one after an answer."""
        loop = asyncio.get_running_loop()
        if peer is self.wallet:
            response = {"jsonrpc": "2.0", "id": payload["id"], "result": "0x" + "2" * 64}
            loop.call_later(self.interval, self.wallet.send, response)
        else:
            Pair.exchanges += 1
            loop.call_later(self.interval + self.pause, self.request)


async def main(url: str, pairs: int, interval: float, pause: float, window: float, ramp: float = 0.0) -> None:
    """Run the pairs, and print what the window cost."""
    cycle = pause + 2 * interval
    starts = [Pair().run(url, (ramp or cycle) * number / pairs, interval, pause) for number in range(pairs)]
    await asyncio.gather(*starts)
    await asyncio.sleep(2 * cycle + 1)
    freeze_gc()
    cpu, exchanges = time.process_time(), Pair.exchanges
    await asyncio.sleep(window)
    print(json.dumps({"cpu": time.process_time() - cpu, "exchanges": Pair.exchanges - exchanges}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])))
