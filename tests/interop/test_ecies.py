"""Our encryption and eciesjs' read each other."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING

from monitor.session.crypto import Ecies
from tests.interop.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 1_000


def texts() -> Iterator[str]:
    """Payloads of many lengths, in several scripts, the empty one among them."""
    rng = random.Random(7)
    yield ""
    for _ in range(COUNT - 1):
        yield "".join(rng.choices('abcXYZ019 {}":,\\\n\té漢字😀', k=rng.randrange(1, 400)))


async def test_eciesjs_reads_what_we_encrypt() -> None:
    ours = Ecies()
    keys = ours.generate()
    secret = base64.b64encode(keys.private_key).decode()
    async with await Peer.start("ecies.mjs") as node:
        for text in texts():
            node.tell(do="decrypt", payload=ours.encrypt(text, keys.public_key), privateKey=secret)
            assert await node.line() == text


async def test_we_read_what_eciesjs_encrypts() -> None:
    ours = Ecies()
    keys = ours.generate()
    public = base64.b64encode(keys.public_key).decode()
    async with await Peer.start("ecies.mjs") as node:
        for text in texts():
            node.tell(do="encrypt", text=text, publicKey=public)
            assert ours.decrypt(await node.line(), keys.private_key) == text
