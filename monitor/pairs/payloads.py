"""What the two wallets say to each other: a signing request and its answer, as real as the load test's samples.

Each message names its run and its number, and once more in hexadecimal, so that it can be told from every other
wherever it turns up: in a history read by hand, on another channel, in another run.
"""

from __future__ import annotations

from typing import Any

_ADDRESS = "0x8d3a6f2c41b7e9055d1c0a94fe62b38d7c15a0e4"

Payload = dict[str, Any]


def _hexadecimal(identifier: str, size: int) -> str:
    """The last `size` bytes of an identifier, which are those that differ between two."""
    return f"0x{identifier.encode()[-size:].hex()}"


def request(run_id: str, number: int) -> Payload:
    """A `personal_sign` JSON-RPC request, about 165 bytes as JSON."""
    identifier = f"{run_id}/{number}"
    params = [_hexadecimal(identifier, 8), _ADDRESS]
    return {"jsonrpc": "2.0", "id": identifier, "method": "personal_sign", "params": params}


def response(identifier: str) -> Payload:
    """The answer to the request with this id, about 140 bytes as JSON."""
    return {"jsonrpc": "2.0", "id": identifier, "result": _hexadecimal(identifier, 32)}
