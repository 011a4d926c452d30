"""A TLS front: `python front.py CERT.pem HOST:PORT=HOST:PORT…` passes what it decrypts to the second address.

It runs on a reader's machine, and stands for the load balancers of the examples.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress

CHUNK = 65_536


async def main(certificate: str, routes: list[str]) -> None:
    """Serve until the process ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    for route in routes:
        listen, _, target = route.partition("=")

        async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str = target) -> None:
            host, _, port = target.rpartition(":")
            try:
                inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
            except OSError:
                writer.close()
                return
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        host, _, port = listen.rpartition(":")
        await asyncio.start_server(passed, host, int(port), ssl=context)
    await asyncio.Event().wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
