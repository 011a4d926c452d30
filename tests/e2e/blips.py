"""Single faults that must not page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.embedded import parse_fault

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

RESTART: Final = "restart"

BLIPS: Final = (
    "drop:channel=session,count=1",  # one message lost
    RESTART,
    "delay:channel=session,by=3,count=1",  # one late
    "reset:channel=session,at=push,count=1",  # one connection reset
    "corrupt:channel=session,count=1",
    "unsubscribe:channel=session,code=2500,count=1",  # insufficient state
    "close:channel=session,at=publish,code=3012,count=1",
    "silent:channel=session,at=publish,count=1",  # one command without a reply
    "duplicate:channel=session,count=1",
    "unstored:channel=session,count=1",  # one message acknowledged and not stored
)


async def blip(relay: EmbeddedRelay, kind: str) -> None:
    """Inject one fault; `relay` has its own fault plan."""
    if kind == RESTART:
        await relay.stop()
        await relay.start()
        return
    assert relay.plan is not None
    relay.plan.set([parse_fault(kind)])
