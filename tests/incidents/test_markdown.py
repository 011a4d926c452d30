"""The Markdown of an incident."""

from __future__ import annotations

import re
from html import escape, unescape

import pytest
from markdown_it import MarkdownIt

from monitor.incidents import Failed, to_markdown
from monitor.incidents.markdown import code, escaped
from tests.incidents.relay_time import UP, down_relay

EXPECTED = """\
# Incident 1128-{word}: demo

Down for 22 s: tcp refused, 2 messages lost.

- Relay: demo
- Location: here
- First failure: 2026-11-28 10:01:38 UTC
- Verdict: 2026-11-28 10:01:40 UTC (detected after 2 s)
- Up again: 2026-11-28 10:02:00 UTC
- Closed: 2026-11-28 10:07:00 UTC (up for 5 min 00 s)
- Conditions: down 22 s, up 5 min 00 s
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

- 10:01:38 3 attempts failed: tcp refused; the last at 10:01:38 UTC (run run-attempt)
- 10:01:40 Opened: relay is down: tcp refused, 3 of 3 attempts failed
- 10:01:40 Run of steady failed: tcp refused (run run-1)
- 10:01:40 2 messages lost. (run run-2)
- 10:02:00 Relay is up after 22 s down.
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


HOSTILE = "| <script>alert(1)</script> [x](javascript:1) ![y](z) `code` ``two`` **bold** www.evil.test\n# title"


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_the_words_of_a_relay_have_no_effect() -> None:
    played = down_relay()
    played.attempt_fails("protocol", detail=HOSTILE)
    played.attempt_fails("x" * 5 + HOSTILE, detail="d" * 400)
    html = rendered(to_markdown(played.incident, now=played.wall()))
    assert not re.search("<script|<a |<img|<strong>|<h1>title", html)
    assert html.count("<h1>") == 1
    assert html.count("<tr>") == 4  # the causes and their head: no word begins another row
    words = unescape(html.replace("\u200b", ""))
    assert words.count("<code>| <script>alert(1)</script> [x](javascript:1) ![y](z) `code` ``two`` **bold**") == 2


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        ("ask @octocat or @org/team", r"@\w"),
        ("see https://evil.test/x", r"\w://\w"),
        ("WWW.evil.test", r"www\."),
        ("fixed by #12 and org/repo#34", r"#\d"),
        ("mail root@evil.test", r"@\w"),
        ("<!here> <@U0123> <#C0123>", r"<[!@#]"),
    ],
)
def test_words_link_nothing_and_notify_nobody(words: str, forbidden: str) -> None:
    for text in (code(words), code(words, in_table=True), re.sub(r"\\(.)", r"\1", escaped(words))):
        assert not re.search(forbidden, text, re.IGNORECASE)
        assert text.replace("\u200b", "").strip("`") == words


@pytest.mark.parametrize("words", ["`", "``` a ```", "a|b", "a\\|b", "  spaces \t and\nlines ", "\\", "``a`b``"])
def test_words_stay_inside_their_code_span(words: str) -> None:
    html = rendered(f"| a | b |\n|---|---|\n| {code(words, in_table=True)} | end |\n")
    assert html.count("<td>") == 2
    assert "<td>end</td>" in html
    assert html.count("<code>") == 1
    assert f"<code>{escape(' '.join(words.split()), quote=False)}</code>" in rendered(f"{code(words)} end")


def test_no_words_are_no_code_span() -> None:
    assert code(" \n ") == ""
