"""How runs are written into the database: compressed JSON, and ids of 16 bytes."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES: Final = 4 << 20
"""Size above which a body is not unpacked: none that the monitor writes is as large."""

_COMMON: Final = (
    b'"level":"warning","event":"","fields":{"relay":"","probe":""}"failure":{"step":"tcp","reason":"refused","detail":'
    b'"side":"pair","step":"handshake","side":"wallet","step":"subscribe","from":0.0,"to":0.0,"note":""},{"side":"dapp",'
    b'"step":"resolve","step":"upgrade","step":"hello","step":"publish","step":"deliver","step":"history","step":"tls",'
    b'"direction":"response","sequence":1,"verdict":"delivered","sentSeconds":0.0,"legSeconds":0.00,"wireSeconds":0.00,'
    b'"note":""},{"direction":"request","sequence":'
    b'{"id":"","relay":"","probe":"","scenario":"steady-messaging","startedAt":"2026-01-01T00:00:00+00:00",'
    b'"durationSeconds":0.0,"outcome":"ok","failure":null,"pair":null,"pairing":null,"exchanges":[{"outcome":"ok",'
    b'"failure":null,"roundTripSeconds":0.0,"wireRequestSeconds":0.0,"wireResponseSeconds":0.0,"recoverySeconds":null}],'
    b'"timeline":[],"messages":[],"omitted":0}'
)
"""What most runs contain, so that even the first one is compressed well. Part of the format: never changed."""


def pack_id(text: str) -> bytes | str:
    """Return the 16 bytes of an id that is a UUID in canonical form, any other as it is."""
    try:
        packed = UUID(text)
    except ValueError:
        return text
    return packed.bytes if str(packed) == text else text


def unpack_id(packed: bytes | str) -> str:
    """Return the id that `pack_id` packed."""
    if isinstance(packed, str):
        return packed
    digits = packed.hex()  # a page shows thousands: UUID takes five times as long
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def pack(data: Mapping[str, Any]) -> bytes:
    """Return JSON values as compressed bytes."""
    compressor = zlib.compressobj(level=6, zdict=_COMMON)
    text = json.dumps(data, separators=(",", ":"))
    return compressor.compress(text.encode("ascii")) + compressor.flush()


def rounded(data: Any) -> Any:
    """Return JSON values with all numbers to the microsecond: digits that nothing measures take most of the space."""
    if isinstance(data, float):
        return round(data, 6)
    if isinstance(data, dict):
        return {key: rounded(value) for key, value in data.items()}
    return [rounded(value) for value in data] if isinstance(data, (list, tuple)) else data


def unpack(body: bytes) -> Any:
    """Return the JSON values that `pack` packed. Raises `ValueError`."""
    decompressor = zlib.decompressobj(zdict=_COMMON)
    try:
        text = decompressor.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise ValueError("not compressed by this program") from error
    if not decompressor.eof:
        raise ValueError("larger than any that the monitor writes")
    return json.loads(text)


def storable(text: str) -> str:
    """Return a text without lone surrogates, which a relay may send and a database cannot store."""
    return text.encode(errors="replace").decode()
