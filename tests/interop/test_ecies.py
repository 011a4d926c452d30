"""`session.crypto` and eciesjs decrypt each other's ciphertexts."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING

from monitor.session.crypto import Ecies
from tests.interop.node_program import NodeProgram

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 250


def texts() -> Iterator[str]:
    """Yield payloads of many lengths in several scripts, among them the empty one."""
    rng = random.Random(7)
    yield ""
    for _ in range(COUNT - 1):
        yield "".join(rng.choices('abcXYZ019 {}":,\\\n\té漢字😀', k=rng.randrange(1, 400)))


async def test_eciesjs_decrypts_ciphertexts_of_the_monitor() -> None:
    ecies = Ecies()
    keys = ecies.generate()
    secret = base64.b64encode(keys.private_key).decode()
    async with await NodeProgram.start("ecies.mjs") as node:
        for text in texts():
            node.send(do="decrypt", payload=ecies.encrypt(text, keys.public_key), privateKey=secret)
            assert await node.line() == text


async def test_the_monitor_decrypts_ciphertexts_of_eciesjs() -> None:
    ecies = Ecies()
    keys = ecies.generate()
    public = base64.b64encode(keys.public_key).decode()
    async with await NodeProgram.start("ecies.mjs") as node:
        for text in texts():
            node.send(do="encrypt", text=text, publicKey=public)
            assert ecies.decrypt(await node.line(), keys.private_key) == text
