"""What the two wallets say to each other: a signing request and its answer, as real as the load test's samples.

Each message names its run and its number, and carries a digest of both, so that it can be told from every other
wherever it turns up: in a history read by hand, on another channel, in another run.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

_ADDRESS = "0x8d3a6f2c41b7e9055d1c0a94fe62b38d7c15a0e4"

Payload = dict[str, Any]


def _digest(identifier: str, kind: str, size: int) -> str:
    return "0x" + blake2b(f"{kind}:{identifier}".encode(), digest_size=size).hexdigest()


def request(run_id: str, number: int) -> Payload:
    """A `personal_sign` JSON-RPC request, about 165 bytes as JSON."""
    identifier = f"{run_id}/{number}"
    message = _digest(identifier, "request", 8)
    return {"jsonrpc": "2.0", "id": identifier, "method": "personal_sign", "params": [message, _ADDRESS]}


def response(identifier: str) -> Payload:
    """The answer to the request with this id, about 140 bytes as JSON."""
    return {"jsonrpc": "2.0", "id": identifier, "result": _digest(identifier, "response", 32)}
