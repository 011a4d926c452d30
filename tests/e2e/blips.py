"""What goes wrong once and is no reason to wake anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.embedded import parse_fault

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

RESTART: Final = "restart"

BLIPS: Final = (
    "drop:channel=session,count=1",  # one message lost
    RESTART,
    "delay:channel=session,by=3,count=1",  # one too late
    "reset:channel=session,at=push,count=1",  # one connection cut
    "corrupt:channel=session,count=1",
    "unsubscribe:channel=session,code=2500,count=1",  # the relay lost its place in the stream
    "close:channel=session,at=publish,code=3012,count=1",
    "silent:channel=session,at=publish,count=1",  # one command without an answer
    "duplicate:channel=session,count=1",
    "unstored:channel=session,count=1",  # one message acked and forgotten
)


async def blip(relay: EmbeddedRelay, kind: str) -> None:
    """Let it go wrong once; `relay` has a plan of its own."""
    if kind == RESTART:
        await relay.stop()
        await relay.start()
        return
    assert relay.plan is not None
    relay.plan.set([parse_fault(kind)])
