"""Two bare sockets, blocking and without a library: the least time from writing a publish to reading its push.

`python -m bench.bare_sockets URL MESSAGES INTERVAL` prints the samples in seconds as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import uuid

from bench import frames

DATA = "x" * 460
"""Of the length of the monitor's encrypted envelopes."""


class Client:
    """One WebSocket over one blocking socket."""

    def __init__(self, url: str) -> None:
        self.socket = socket.create_connection(frames.address(url), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.socket.sendall(frames.upgrade(url))
        response = b""
        while b"\r\n\r\n" not in response:
            response += self.socket.recv(1)

    def send(self, **command: object) -> float:
        """Send a command; return the time of the write."""
        frame = frames.text(json.dumps(command).encode())
        now = time.monotonic()
        self.socket.sendall(frame)
        return now

    def receive(self, wanted: str) -> float:
        """Wait for a frame that contains `wanted`, answering pings; return the time of the read."""
        while True:
            data = self.socket.recv(65536)
            now = time.monotonic()
            if not data:
                raise ConnectionError("the relay closed the connection")
            self.buffer += data
            for payload in frames.split(self.buffer):
                if payload == b"{}":
                    self.socket.sendall(frames.text(b"{}"))
                elif wanted.encode() in payload:
                    return now


def main(url: str, messages: int, interval: float) -> None:
    """Measure and print."""
    channel = f"session:{uuid.uuid4()}"
    sender, receiver = Client(url), Client(url)
    for client in (sender, receiver):
        client.send(id=1, connect={})
        client.receive('"connect"')
        client.send(id=2, subscribe={"channel": channel, "positioned": True, "recoverable": True})
        client.receive('"subscribe"')
    samples = []
    for number in range(messages):
        time.sleep(interval)
        sent = sender.send(id=3 + number, publish={"channel": channel, "data": DATA})
        samples.append(receiver.receive('"pub"') - sent)
        sender.receive('"publish"')
    print(json.dumps(samples))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
