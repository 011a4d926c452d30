"""The sentence about an incident, and its lengths and spans."""

from __future__ import annotations

import re

from monitor.incidents import Span, spans, summarize, to_markdown
from monitor.incidents.spans import condition_since
from tests.incidents.relay_time import (
    DEGRADED,
    DOWN,
    UP,
    PlayedRelay,
    down_relay,
    seconds,
)


class TestSummary:
    def test_one_condition_has_its_cause(self) -> None:
        played = down_relay()
        played.wait(65)
        assert summarize(played.incident, played.wall()) == "down for 1 min 07 s: tcp refused"

    def test_several_have_their_lengths_the_worst_first(self) -> None:
        played = down_relay()
        played.wait(60)
        played.becomes(DEGRADED)
        played.attempt_fails("timeout")
        played.loses()
        played.wait(30)
        text = "down for 1 min 02 s, degraded for 30 s, latest cause tcp timeout, 1 message lost"
        assert summarize(played.incident, played.wall()) == text
        played.becomes(UP)
        assert summarize(played.incident, played.wall()) == f"{text}, up again since 10:03:10 UTC"
        played.wait(300)
        assert summarize(played.incident, played.wall()) == text.replace(
            "latest cause tcp timeout", "most frequent cause tcp refused"
        )

    def test_its_length_is_that_of_the_relay_since_its_first_failed_attempt(self) -> None:
        played = down_relay()
        since = played.wall(2)
        played.wait(65)
        assert condition_since(played.incident) == since
        assert summarize(played.incident, played.wall()).startswith("down for 1 min 07 s: ")
        assert (played.wall() - since).total_seconds() == 67
        assert spans(played.incident, played.wall()) == [Span(since, played.wall(), DOWN)]

    def test_a_condition_takes_the_time_since_it_began_from_the_one_before(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.becomes(DEGRADED)
        played.wait(60)
        played.becomes(DOWN, since=10)
        assert played.texts()[-1] == "60 Relay is down after 50 s degraded."
        assert seconds(played.incident) == {"degraded": 50, "down": 10}
        assert [span.seconds for span in spans(played.incident, played.wall())] == [50, 10]

    def test_a_relay_that_was_found_degraded_first_is_down_since_its_first_failure(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.attempt_fails("refused")
        since = played.wall()
        played.wait(3)
        played.becomes(DEGRADED)
        played.wait(1)
        played.becomes(DOWN, since=4)
        assert condition_since(played.incident) == since
        assert seconds(played.incident) == {"down": 4}
        assert spans(played.incident, played.wall()) == [Span(since, played.wall(), DOWN)]
        assert summarize(played.incident, played.wall()).startswith("down for 4 s: ")
        assert played.texts()[-1].endswith("Relay is down.")

    def test_several_periods_are_counted(self) -> None:
        played = down_relay()
        played.wait(58)
        played.becomes(UP)
        played.wait(100)
        played.becomes(DOWN, since=5)
        text = "down for 1 min 05 s in 2 periods: tcp refused"
        assert summarize(played.incident, played.wall()) == text

    def test_the_time_without_a_monitor_is_named(self) -> None:
        played = down_relay()
        played.restart(gone=40)
        played.becomes(DOWN, since=42)
        played.wait(10)
        assert summarize(played.incident, played.wall()) == "down for 12 s: tcp refused, no monitor for 40 s"

    def test_latency_has_its_explanation(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.becomes(DEGRADED, "too many exchanges over the latency threshold")
        assert (
            summarize(played.incident, played.wall())
            == "degraded for 0 s: too many exchanges over the latency threshold"
        )

    def test_a_slow_relay_has_neither_a_first_failure_nor_a_time_of_detection(self) -> None:
        played = PlayedRelay()
        played.becomes(UP)
        played.becomes(DEGRADED, "5 of 28 exchanges over the latency threshold")
        assert not played.incident.has_failure
        assert played.incident.detection_seconds is None
        text = to_markdown(played.incident, now=played.wall())
        assert not re.search("First failure|Detected after|Attempts", text)
