from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.vocabulary import Reason, Step
from monitor.web.failure_lines import failure_lines
from tests.web.views import NOW, down_relay

GROUP = down_relay("demo").failures[0]


def test_probes_that_met_one_cause_are_one_line() -> None:
    later = replace(GROUP, probe="session", count=2, last=NOW, run_id="later", first=NOW - timedelta(hours=1))
    (line,) = failure_lines([GROUP, later])
    assert (line.cause, line.count, line.probes_text) == ("tcp refused", 73, "steady 71, session 2")
    assert (line.first, line.last, line.latest.run_id) == (later.first, NOW, "later")


def test_another_relay_cause_or_status_is_another_line() -> None:
    upgrade = replace(GROUP, step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")
    groups = [GROUP, replace(GROUP, relay="other"), upgrade, replace(upgrade, status="503")]
    lines = failure_lines(groups)
    assert [line.cause for line in lines] == ["tcp refused", "tcp refused", "upgrade 502", "upgrade 503"]
    assert lines[0].probes_text == "steady"
