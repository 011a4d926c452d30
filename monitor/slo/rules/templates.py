"""Parts of annotations that query Prometheus each time their alert is evaluated.

A part is a Prometheus template. Expressions in it name labels of the alert as `$relay`: each is replaced by the label's
value, quoted. A part without data is empty, or its alternative; a part that is a line begins with a line break, so that
an empty one leaves no empty line.
"""

from __future__ import annotations

import re
from typing import Final

from monitor.slo.rules.names import MEMBER_DOWN, SETTINGS

LAYERS: Final = (
    ("resolve", "DNS", "the zone of the relay's name, and the resolver of the monitor's host"),
    ("proxy", "the proxy between monitor and relay", "the proxy, which the monitor's environment names"),
    ("tcp", "TCP", "whether the load balancer or the node listens on that port, its host, and firewalls"),
    ("tls", "TLS", "the certificate and its chain on every node or load balancer"),
    (
        "upgrade",
        "load balancer, or WebSocket upgrade",
        "the load balancer's backends, connection limits, and the latest deploy",
    ),
    ("hello", "Centrifugo, connect and its authentication", "the node's process and log; then the token"),
    ("subscribe", "Centrifugo, subscribe", "the channel's namespace and permissions, then the broker (Redis)"),
    ("history", "history, in the broker", "the broker (Redis): memory, failover, latency"),
    ("publish", "publish, in Centrifugo or its broker", "the broker (Redis), and the permission to publish"),
    ("deliver answer handshake", "delivery, from the broker to the subscribers", "the broker's publish/subscribe"),
    ("resume recover", "recovery, from the broker's history", "size and time to live of the history, and the broker"),
    ("hold close", "established connections", "idle timeouts of load balancers, restarts of nodes, and pings"),
)
"""Steps, the layer that fails in them, and what to look at first."""

ATTEMPTS_WINDOW: Final = "5m"
MONITORS: Final = "1d:1m"
RELAYS: Final = "12h:2m"
BUDGETS: Final = "6h:5m"
"""How far back, and at which resolution, the last time at which something was well is searched.

Prometheus evaluates annotations at each evaluation of every firing alert, so that alerts of which hundreds may fire, as
in an outage of many relays, look at few samples: those of relays at 360, those of budgets at 72.
"""

_LABEL: Final = re.compile(r"\$(\w+)")
_TIME: Final = '{{ (.Value | toTime).Format "2006-01-02 15:04:05" }} UTC'
_CAUSE: Final = "{{ .Labels.step }} {{ with .Labels.status }}{{ . }}{{ else }}{{ .Labels.reason }}{{ end }}"


def query(expr: str) -> str:
    """Return the template's call that evaluates an expression."""
    escaped = expr.replace("\\", "\\\\").replace('"', '\\"')
    labels = [f"$labels.{name}" for name in _LABEL.findall(escaped)]
    if not labels:
        return f'query "{escaped}"'
    return f'query (printf "{_LABEL.sub("%q", escaped.replace("%", "%%"))}" {" ".join(labels)})'


def first(expr: str, text: str, otherwise: str = "") -> str:
    """Return a template that writes `text` for the first row of an expression, or `otherwise` if there is none."""
    other = f"{{{{ else }}}}{otherwise}" if otherwise else ""
    return f"{{{{ with {query(expr)} }}}}{{{{ with first . }}}}{text}{{{{ end }}}}{other}{{{{ end }}}}"


def number(expr: str, otherwise: str = "?") -> str:
    """Return a template that writes the value of an expression, without decimals."""
    return first(expr, '{{ .Value | printf "%.0f" }}', otherwise)


def rows(expr: str, label: str, text: str, otherwise: str, most: int = 12) -> str:
    """Return a template that lists the rows of an expression by a label, or `otherwise` if there is none.

    It lists `most` of them; each is `$each` in `text`.
    """
    sorted_rows = f'{query(expr)} | sortByLabel "{label}"'
    item = f"{{{{ if $row }}}}, {{{{ end }}}}{text}"
    shown = f"{{{{ if lt $row {most} }}}}{item}{{{{ end }}}}"
    return f"{{{{ range $row, $each := {sorted_rows} }}}}{shown}{{{{ else }}}}{otherwise}{{{{ end }}}}"


def each(expr: str, label: str, otherwise: str = "none now") -> str:
    """Return a template that lists the values of a label in the rows of an expression, twelve at most."""
    return rows(expr, label, f"{{{{ $each.Labels.{label} }}}}", otherwise)


def at_time(expr: str, before: str, after: str = ". ", otherwise: str = "") -> str:
    """Return a template that writes the Unix time of an expression between two texts, in UTC.

    It ends with a space, so that the text begins with the next sentence if the expression has no data.
    """
    return first(expr, f"{before}{_TIME}{after}", otherwise)


def start_ms(before: float, *, of_relay: bool) -> str:
    """Return a template of the Unix time in milliseconds that is `before` seconds before a fault began.

    That is the start of the relay's condition, if it is not up, and the present otherwise.
    """
    began = "vector(time())"
    if of_relay:
        began = f"(min({_began(OF_RELAY, 'degraded|not_accepting|down|unknown')}) or {began})"
    return number(f"1000 * ({began} - {before:.0f})", "now-1h")


def quoted(text: str) -> str:
    """Return a text as a string of a template, or of a matcher of Alertmanager."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def value_time(before: str, after: str = "") -> str:
    """Return a template that writes the time that is as many seconds ahead as the alert's value says."""
    asked = '{{ with query (printf "vector(time() + %f)" $value) }}{{ with first . }}'
    return f"{asked}{before}{_TIME}{after}{{{{ end }}}}{{{{ end }}}}"


def expires() -> str:
    """Return a template that says when something expires whose remaining seconds are the alert's value."""
    ago = '{{ $value | humanizeDuration | reReplaceAll "^-" "" }}'
    return f"{{{{ if lt $value 0.0 }}}}expired {ago} ago{{{{ else }}}}expires in {ago}{{{{ end }}}}"


# What fails.

OF_RELAY: Final = "install=$install, relay=$relay"
HERE: Final = "install=$install, location=$location, relay=$relay"
"""Matchers of the alert's relay, everywhere and at the alert's location."""
_CAUSES: Final = "topk(1, count by (step, reason, status) ({}))"
_VOTING: Final = "unless on (install, location, instance) relay_monitor_healthy{install=$install} == 0"
"""Without what an unhealthy monitor last saw: it has no vote."""

RELAY_CAUSE: Final = _CAUSES.format(f"relay_cause_info{{{OF_RELAY}}} == 1 {_VOTING}")
"""The present cause at most locations."""

CAUSE_HERE: Final = _CAUSES.format(f"relay_cause_info{{{HERE}}} == 1")
"""The present cause at the alert's location."""

GROUP_CAUSE: Final = _CAUSES.format(
    f"relay_cause_info{{install=$install}} == 1 {_VOTING} "
    f"and on (install, relay) {SETTINGS}{{install=$install, group=$group}}"
)
"""The present cause at most relays of a group."""


def failures(window: str, matchers: str) -> str:
    """Return the expression of the most frequent step and reason of failed exchanges within a window."""
    return f"topk(1, sum by (step, reason) (increase(relay_probe_failures_total{{{matchers}}}[{window}])) > 0)"


def cause(expr: str, before: str = ": ", after: str = "") -> str:
    """Return a template that writes step, and status or reason, of an expression with these labels."""
    return first(expr, before + _CAUSE + after)


def layer(expr: str) -> str:
    """Return the lines that name the failing layer, and what to look at first."""
    branches = []
    for steps, name, subject in LAYERS:
        are = " ".join(quoted(step) for step in steps.split())
        branches.append(f"eq $step {are} }}}}{{{{ $layer = {quoted(name)} }}}}{{{{ $first = {quoted(subject)} }}}}")
    named = "{{ $step := .Labels.step }}{{ $layer := $step }}{{ $first := .Labels.reason }}"
    chosen = f"{named}{{{{ if {'{{ else if '.join(branches)}{{{{ end }}}}"
    return first(expr, f"{chosen}\nFailing layer: {{{{ $layer }}}} ({_CAUSE}).\nFirst: check {{{{ $first }}}}.")


# Since when.


def since(states: str, what: str, where: str = OF_RELAY) -> str:
    """Return the sentence that says since when a relay has one of these states.

    Without the series of that time, which older monitors do not have, it says when the relay was up last.
    """
    began = f"min({_began(where, states)})"
    return at_time(
        began, f"{what} since ", otherwise=last(f"relay_up{{{where}}} == 1", "Last seen up at ", within=RELAYS)
    )


def _began(where: str, states: str) -> str:
    return (
        f"relay_state_since_timestamp_seconds{{{where}}} "
        f'and on (install, location, relay) relay_state{{{where}, state=~"{states}"}} == 1'
    )


def condition(where: str = OF_RELAY) -> str:
    """Return the line that says which condition a relay has, and since when."""
    # Two processes of one location may export different states: they are the many side.
    began = (
        f'bottomk(1, min by (state) ((relay_state{{{where}, state!="up"}} == 1) '
        "* on (install, location, relay) group_left () "
        f"max by (install, location, relay) (relay_state_since_timestamp_seconds{{{where}}})))"
    )
    text = '\nCondition of the relay: {{ .Labels.state | reReplaceAll "_" " " }} since ' + _TIME + "."
    return first(began, text, otherwise=first(f"relay_up{{{where}}} == 1", "\nCondition of the relay: up."))


def last(condition: str, before: str, after: str = ". ", within: str = MONITORS) -> str:
    """Return the sentence that says when a condition held last, within a range at a resolution."""
    return at_time(f"max(max_over_time(timestamp({condition})[{within}]))", before, after)


def last_success(before: str) -> str:
    """Return the sentence that says when the last good run of the alert's probe ended, at its location."""
    ended = f"max(relay_probe_last_success_timestamp_seconds{{{HERE}, probe=$probe}})"
    return at_time(ended, before, otherwise="It has had no good run. ")


GROUP_SINCE: Final = at_time(
    "min(relay_state_since_timestamp_seconds{install=$install} and on (install, location, relay) "
    'relay_state{install=$install, state="down"} == 1 '
    f"and on (install, relay) {MEMBER_DOWN}{{install=$install, group=$group}})",
    "The first of them has been down since ",
)
"""Since when a group has relays that are down."""

# How sure.


def agreement(vote: str) -> str:
    """Return the line that says how many locations agree on a verdict of 0, and which ones do not."""
    rows = f"{vote}{{{OF_RELAY}}}"
    against = first(f"count({rows} == 1)", "; not " + each(f"count by (location) ({rows} == 1)", "location"))
    counted = number(f"count({rows} == 0)", "0") + " of " + number(f"count({rows})", "0") + " locations agree"
    return (
        f"\nHow sure: {counted} ({each(f'count by (location) ({rows} == 0)', 'location')}{against})" + _ATTEMPTS + "."
    )


_ATTEMPTS: Final = first(
    "sum(increase(relay_probe_confirmations_total"
    f'{{{OF_RELAY}, over="fresh", outcome="failed"}}[{ATTEMPTS_WINDOW}])) > 0.5',
    '; {{ .Value | printf "%.0f" }} attempts failed within ' + ATTEMPTS_WINDOW,
)
"""How many new pairings failed."""


GROUP_SIZE: Final = number(f"count({SETTINGS}{{install=$install, group=$group}})")
"""The number of relays in a group."""

GROUP_MEMBERS: Final = each(f"{MEMBER_DOWN}{{install=$install, group=$group}}", "relay")
"""The relays of a group that are down, twelve by name."""
