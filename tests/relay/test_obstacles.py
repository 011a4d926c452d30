"""What is said of a connection that dropped."""

from __future__ import annotations

import pytest

from monitor.relay.obstacles import of_drop
from monitor.vocabulary import Reason, Step
from monitor.wire.events import Dropped


@pytest.mark.parametrize(
    ("code", "reason", "fault", "detail"),
    [
        (3001, "shutdown", None, "close code 3001 shutdown"),
        (None, "", None, "no close frame"),
        (None, "end of stream", Reason.RESET, "no close frame: end of stream"),
        (None, "no reply to connect for 5 s", Reason.SILENT, "no reply to connect for 5 s"),
        (None, "", Reason.SILENT, "no close frame"),
    ],
)
def test_a_close_frame_is_missed_only_where_the_relay_closed(
    code: int | None, reason: str, fault: Reason | None, detail: str
) -> None:
    dropped = Dropped(at=0.0, code=code, reason=reason, fault=fault, reconnect_at=None)
    assert of_drop(Step.HELLO, dropped).detail == detail
