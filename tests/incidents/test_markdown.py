"""The Markdown of an incident."""

from __future__ import annotations

import re

from monitor.incidents import Failed, to_markdown
from tests.incidents.relay_time import UP, down_relay

EXPECTED = """\
# Incident 1128-{word}: demo

Down for 20 s: tcp refused, 2 messages lost.

- Relay: demo
- Seen from: here
- First failure: 2026-11-28 10:01:38 UTC
- Opened: 2026-11-28 10:01:40 UTC
- Detected after: 2 s
- Up again: 2026-11-28 10:02:00 UTC
- Closed: 2026-11-28 10:07:00 UTC (up for 5 min 00 s)
- Conditions: down 20 s, up 5 min 00 s
- Attempts: 3 of 3 failed
- Messages: 2 lost
- Page: http://monitor/incidents/1

## Causes

| cause | failures | first | last | detail |
|---|---:|---|---|---|
| tcp refused | 4 | 10:01:38 | 10:01:40 |  |

## Probes

| probe | failures | first | last |
|---|---:|---|---|
| steady | 1 | 10:01:40 | 10:01:40 |

## Time line (UTC)

- 10:01:38 Attempt failed: tcp refused (run run-attempt)
- 10:01:40 Opened: relay is down: tcp refused, 3 of 3 attempts failed
- 10:01:40 Run of steady failed: tcp refused (run run-1)
- 10:01:40 2 messages lost. (run run-2)
- 10:02:00 Relay is up after 20 s down.
- 10:07:00 Closed: up for 5 min 00 s.
"""


def test_all_of_an_incident_is_in_it() -> None:
    played = down_relay()
    played.run_fails()
    played.loses(2)
    played.wait(20)
    played.becomes(UP)
    played.wait(300)
    text = to_markdown(played.incident, now=played.wall(), seen_from="here", page_url="http://monitor/incidents/1")
    assert text == EXPECTED.replace("1128-{word}", played.incident.id)


def test_its_time_line_is_in_order_of_time() -> None:
    played = down_relay()
    idle = Failed(played.wall(60), "idle", "hold", "silent", run_id="run-3")
    played.incidents.run_failed(played.now, idle)
    entries = to_markdown(played.incident, now=played.wall()).partition("## Time line")[2]
    times = re.findall(r"^- (\S+)", entries, re.MULTILINE)
    assert len(times) == 3
    assert times == sorted(times)


def test_the_words_of_a_relay_have_no_effect() -> None:
    played = down_relay()
    played.attempt_fails(
        "protocol", detail="| <script>alert(1)</script> [x](javascript:1) ![y](z) `code` **bold**\n# title"
    )
    text = to_markdown(played.incident, now=played.wall())
    lines = [line for line in text.splitlines() if "script" in line]
    assert len(lines) == 2  # the cause and the time line
    for line in lines:
        unescaped = re.sub(r"\\.", "", line)
        assert not set("<>[]`*#!") & set(unescaped.removeprefix("- ").removeprefix("| "))
    assert lines[0].count("|") - lines[0].count(r"\|") == 6
