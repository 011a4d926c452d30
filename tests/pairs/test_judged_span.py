"""The time that verdicts on messages are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.results import MessagesJudged
from tests.probes.conftest import relay
from tests.probes.harness import PERSISTENT, probe_at, serving
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

__all__ = ["relay"]

pytestmark = WITH_SOCKETS


@pytest.mark.parametrize("persistent", [False, True])
async def test_verdicts_say_from_when_to_when_their_messages_were_under_way(
    relay: EmbeddedRelay,
    persistent: bool,
) -> None:
    """Both times were 0, so that maintenance and health counted as they were when the messages were judged."""
    keys = PERSISTENT if persistent else {}
    async with probe_at(relay.url, "steady-messaging", **keys) as made:
        began = made.context.clock.monotonic()
        if persistent:
            async with serving(made):
                await made.until(lambda: made.all(MessagesJudged))
        else:
            await made.run_once()
        for report in made.all(MessagesJudged):
            assert began <= report.since <= report.until <= made.context.clock.monotonic()
        assert made.all(MessagesJudged)
