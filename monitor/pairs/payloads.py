"""Payloads: a signing request and its response, as the relay team's load test sends them.

Each contains its run id and number, so that it can be identified in a history, on another channel, in another run.
"""

from __future__ import annotations

from typing import Any

_ADDRESS = "0x8d3a6f2c41b7e9055d1c0a94fe62b38d7c15a0e4"

Payload = dict[str, Any]


def _hexadecimal(identifier: str, size: int) -> str:
    """Return the last `size` bytes of an identifier, in which two differ."""
    return f"0x{identifier.encode()[-size:].hex()}"


def request(run_id: str, number: int) -> Payload:
    """Return a `personal_sign` JSON-RPC request, about 165 bytes as JSON."""
    identifier = f"{run_id}/{number}"
    params = [_hexadecimal(identifier, 8), _ADDRESS]
    return {"jsonrpc": "2.0", "id": identifier, "method": "personal_sign", "params": params}


def response(identifier: str) -> Payload:
    """Return the response to the request with this id, about 140 bytes as JSON."""
    return {"jsonrpc": "2.0", "id": identifier, "result": _hexadecimal(identifier, 32)}
