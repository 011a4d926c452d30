"""The leanest client with the same frames, JSON and encryption: what an exchange costs where nothing is measured.

`python -m bench.minimal URL PAIRS INTERVAL SETTLE WINDOW` prints CPU seconds and exchanges of the window as JSON. Each
pair subscribes both ends to one channel; the dApp publishes an encrypted request, the wallet decrypts it, waits the
interval, publishes an encrypted answer, the dApp decrypts that and waits the interval. No pairing, no history, no
retries, no de-duplication, no deadlines, no verdicts, no metrics.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import uuid
from typing import Any

import uvloop

from bench import frames
from monitor.session.crypto import Ecies, KeyPair

CRYPTO = Ecies()


class Side(asyncio.Protocol):
    """One end of a pair."""

    def __init__(self, url: str, channel: str, keys: KeyPair, theirs: bytes, pair: Pair) -> None:
        self.url, self.channel, self.keys, self.theirs, self.pair = url, channel, keys, theirs, pair
        self.client = str(uuid.uuid4())
        self.buffer = bytearray()
        self.upgraded = False
        self.ready = asyncio.get_running_loop().create_future()
        self.nonce = self.last = self.seen = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(frames.upgrade(self.url))

    def command(self, **command: Any) -> None:
        self.last += 1
        self.transport.write(frames.text(json.dumps({"id": self.last} | command, separators=(",", ":")).encode()))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            del self.buffer[: head + 4]
            self.upgraded = True
            self.command(connect={"name": "minimal"})
        for payload in frames.split(self.buffer):
            for line in payload.split(b"\n"):
                self.take(json.loads(line))

    def take(self, item: dict[str, Any]) -> None:
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
            self.transport.write(frames.text(b"{}"))

    def send(self, payload: dict[str, Any]) -> None:
        self.nonce += 1
        sealed = CRYPTO.encrypt(json.dumps({"type": "message", "payload": payload}), self.theirs)
        data = json.dumps({"clientId": self.client, "nonce": self.nonce, "payload": sealed}, separators=(",", ":"))
        self.command(publish={"channel": self.channel, "data": data})


class Pair:
    """A dApp, a wallet, and nothing else."""

    exchanges = 0

    async def run(self, url: str, start: float, interval: float, settle: float) -> None:
        await asyncio.sleep(start)
        loop = asyncio.get_running_loop()
        channel = f"session:{uuid.uuid4()}"
        ours, theirs = CRYPTO.generate(), CRYPTO.generate()
        host, port = frames.address(url)
        _, self.dapp = await loop.create_connection(lambda: Side(url, channel, ours, theirs.public_key, self), host, port)
        _, self.wallet = await loop.create_connection(lambda: Side(url, channel, theirs, ours.public_key, self), host, port)
        await self.dapp.ready
        await self.wallet.ready
        self.interval, self.settle = interval, settle
        self.ask()

    def ask(self) -> None:
        message = {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": "personal_sign", "params": ["0x" + "0" * 16, "0x" + "1" * 40]}
        self.dapp.send(message)

    def received(self, side: Side, payload: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        if side is self.wallet:
            answer = {"jsonrpc": "2.0", "id": payload["id"], "result": "0x" + "2" * 64}
            loop.call_later(self.interval, self.wallet.send, answer)
        else:
            Pair.exchanges += 1
            loop.call_later(self.interval + self.settle, self.ask)


async def main(url: str, pairs: int, interval: float, settle: float, window: float) -> None:
    """Run the pairs, and print what the window cost."""
    cycle = settle + 2 * interval
    tasks = [asyncio.ensure_future(Pair().run(url, cycle * number / pairs, interval, settle)) for number in range(pairs)]
    await asyncio.wait(tasks)
    await asyncio.sleep(2 * cycle)
    gc.collect()
    cpu, exchanges = time.process_time(), Pair.exchanges
    await asyncio.sleep(window)
    print(json.dumps({"cpu": time.process_time() - cpu, "exchanges": Pair.exchanges - exchanges}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:6])))
