"""Checks between the values of a configuration.

Each check passes the paths it depends on, so that no problem is reported on top of a value that is wrong itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config.capacity import footprint_of
from monitor.config.crontab import Crontab
from monitor.config.drill import drill_timeout, min_drill_timeout
from monitor.config.objectives import Objectives
from monitor.config.problems import ProblemCollector, listed, suggestion
from monitor.config.units import show_duration
from monitor.drill import RELAY as DRILL_RELAY
from monitor.scenarios import KEYS, SPECS, users_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.config.document import KeyPath, Node
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import RelayConfig
    from monitor.config.slo import SloConfig
    from monitor.errors import ConfigProblem

_MIN_REFERENCE_HOSTS: Final = 2


def check(config: Config, root: Node, unknown: Iterable[KeyPath]) -> list[ConfigProblem]:
    """Every problem between the values of `config`, read from `root`; none that depends on the `unknown` paths."""
    problems = ProblemCollector(root, unknown)
    checker, objectives = _Checker(config, problems), Objectives(config, problems)
    checker.monitor()
    checker.owners()
    for section in ("relays", "probes", "slos"):
        checker.names(section)
    for index, relay in enumerate(config.relays):
        checker.relay(("relays", index), relay)
        checker.is_watched(("relays", index), relay)
    for index, probe in enumerate(config.probes):
        checker.relay_names(("probes", index), probe.relays, given="relays" in probe.model_fields_set)
        checker.probe(("probes", index), probe)
    for index, slo in enumerate(config.slos):
        objectives.slo(("slos", index), slo)
    checker.prometheus()
    for index, window in enumerate(config.maintenance):
        checker.relay_names(("maintenance", index), window.relays, given="relays" in window.model_fields_set)
    checker.drill()
    return problems.problems


class _Checker:
    """Each method checks one value: `path` is where it is in the file."""

    def __init__(self, config: Config, problems: ProblemCollector) -> None:
        self._config, self._problems = config, problems
        self._relays = {relay.name: (("relays", index), relay) for index, relay in enumerate(config.relays)}

    def monitor(self) -> None:
        """Check location, shards and reference hosts."""
        config = self._config
        if config.location not in config.locations:
            self._problems.add(
                ("location",),
                f"{config.location!r} is not among locations; expected one of {', '.join(config.locations)}",
                ("locations",),
            )
        for index, name in enumerate(config.locations):
            if name in config.locations[:index]:
                self._problems.add(("locations", index), f"{name!r} is listed twice; expected each location once")
        if config.shards > len(config.relays):
            self._problems.add(
                ("shards",),
                f"{config.shards} is more than the number of relays, so one shard would have none; "
                f"expected at most {len(config.relays)}",
                ("relays",),
            )
        hosts = {reference.rpartition(":")[0].lower() for reference in config.references}
        if config.references and len(hosts) < _MIN_REFERENCE_HOSTS:
            self._problems.add(("references",), "has only one host; expected two or more independent hosts, or none")

    def prometheus(self) -> None:
        """Check the credentials for Prometheus against each other."""
        config, path = self._config.prometheus, ("prometheus",)
        if (config.username is None) != (config.password_file is None):
            given, missing = ("username", "password_file") if config.username else ("password_file", "username")
            self._problems.add((*path, given), f"needs {missing}; expected both or none")
        if config.bearer_token_file is not None and config.username is not None:
            message = "is set as well as username; expected one of the two"
            self._problems.add((*path, "bearer_token_file"), message, (*path, "username"))
        url = config.url or ""
        for name in ("username", "password_file", "bearer_token_file", "ca_file"):
            if getattr(config, name) is not None and not url.startswith("https://" if name == "ca_file" else "http"):
                wanted = "an https:// url" if name == "ca_file" else "a url"
                self._problems.add((*path, name), f"needs {wanted}", (*path, "url"))

    def owners(self) -> None:
        """Check that each owner with settings of its own owns a relay, and has some."""
        known = {relay.owner for relay in self._config.relays if relay.owner is not None}
        depends_on = [("relays", index, "owner") for index in range(len(self._config.relays))]
        for owner, settings in self._config.alerts.owners.items():
            path: KeyPath = ("alerts", "owners", owner)
            if not known:
                self._problems.add(path, "no relay has an owner; expected `owner` of a relay", *depends_on)
            elif owner not in known:
                message = f"{owner!r} is not the owner of a relay; {suggestion(owner, sorted(known))}"
                self._problems.add(path, message, *depends_on)
            if settings.runbook_base_url is None:
                self._problems.add(path, "is empty; expected runbook_base_url")

    def names(self, section: str) -> None:
        """Check that names are unique within their section."""
        items: Sequence[RelayConfig | ProbeConfig | SloConfig] = getattr(self._config, section)
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            before = first.setdefault(item.name, index)
            if before != index:
                other = (section, before, "name")
                line = self._problems.line_of(other)
                message = f"{item.name!r} is already used in line {line}; expected another name"
                self._problems.add((section, index, "name"), message, other)

    def relay(self, path: KeyPath, relay: RelayConfig) -> None:
        """Check a relay's name, its URLs and credentials against each other, and its limits against the probes."""
        if relay.name == DRILL_RELAY:
            self._problems.add((*path, "name"), f"{DRILL_RELAY!r} is reserved for drills; expected another name")
        url = (*path, "url")
        if relay.url == "embedded" and relay.endpoints:
            self._problems.add((*path, "endpoints"), "cannot be used with the embedded relay; leave it out", url)
        if relay.token is not None and relay.token_file is not None:
            self._problems.add((*path, "token_file"), "is set as well as token; expected one of the two")
        if relay.tls is not None:
            if not relay.url.startswith("wss://"):
                self._problems.add((*path, "tls"), "needs a wss:// url", url)
            if (relay.tls.cert_file is None) != (relay.tls.key_file is None):
                self._problems.add((*path, "tls"), "has only one of cert_file and key_file; expected both or none")
        urls = [endpoint for endpoint in relay.endpoints if isinstance(endpoint, str)]
        if any(each.split(":")[0] != relay.url.split(":")[0] for each in urls) and relay.url != "embedded":
            self._problems.add(
                (*path, "endpoints"), "have another scheme than url; expected all wss:// or all ws://", url
            )
        self._limits(path, relay)

    def is_watched(self, path: KeyPath, relay: RelayConfig) -> None:
        """Check that at least one probe watches a relay."""
        probes = self._config.probes
        if not any(not probe.relays or relay.name in probe.relays for probe in probes):
            self._problems.add(
                (*path, "name"),
                f"{relay.name!r} is not watched by any probe; add it to the relays of one, or remove it",
                *(("probes", index, "relays") for index in range(len(probes))),
            )

    def _limits(self, path: KeyPath, relay: RelayConfig) -> None:
        watching = [
            (("probes", index), probe)
            for index, probe in enumerate(self._config.probes)
            if not probe.relays or relay.name in probe.relays
        ]
        # A probe without a valid schedule has a problem of its own.
        if any(not SPECS[probe.scenario].continuous and not probe.is_scheduled for _, probe in watching):
            return
        need = footprint_of(relay, [probe for _, probe in watching])
        reserve = relay.limits.reserve
        for key, peak, kept in (
            ("connects_per_minute", need.peak_connects, reserve),
            ("messages_per_minute", need.peak_messages, 0),
        ):
            allowed = getattr(relay.limits, key)
            if peak and peak + kept > allowed:
                more = f", and {kept} are reserved to confirm a failure" if kept else ""
                self._problems.add(
                    (*path, "limits", key),
                    f"{allowed} is too low: the probes need {peak:.1f} in a minute that starts a run of each{more}; "
                    "raise it, or configure longer periods or fewer pairs or connections",
                    *(probe_path for probe_path, _ in watching),
                    *(("probes", index, "relays") for index in range(len(self._config.probes))),
                )

    def drill(self) -> None:
        """Check that a drill can end before its time is over, and before the next one starts."""
        drill = self._config.drill
        timeout, least = drill_timeout(self._config), min_drill_timeout(self._config)
        keys = (("prometheus", "scrape_interval"), ("prometheus", "evaluation_interval"))
        if timeout <= least:
            self._problems.add(
                ("drill", "timeout"),
                f"{show_duration(timeout)} is too short: a scrape, an evaluation and Alertmanager's wait take up to "
                f"{show_duration(least)}",
                *keys,
            )
        if drill.cron is not None and Crontab(drill.cron, drill.timezone).shortest_span(2) < timeout:
            self._problems.add(
                ("drill", "cron"),
                f"a drill takes up to {show_duration(timeout)}, and the next one starts before; expected longer gaps",
                ("drill", "timezone"),
                ("drill", "timeout"),
                *keys,
            )

    def relay_names(self, path: KeyPath, names: tuple[str, ...], *, given: bool) -> None:
        """Check that `relays` of a probe or a window lists relays that exist, each once, and at least one."""
        if given and not names:
            self._problems.add((*path, "relays"), "is empty; list at least one relay, or leave the key out for all")
        known = [("relays", index, "name") for index in range(len(self._config.relays))]
        for index, name in enumerate(names):
            if name not in self._relays:
                message = f"{name!r} is not a relay; {suggestion(name, self._relays)}"
                self._problems.add((*path, "relays", index), message, *known)
            elif name in names[:index]:
                self._problems.add((*path, "relays", index), f"{name!r} is listed twice; expected each relay once")

    def probe(self, path: KeyPath, probe: ProbeConfig) -> None:
        """Check a probe's keys against its scenario, and its numbers against each other and its relays."""
        scenario = (*path, "scenario")
        spec = SPECS[probe.scenario]
        for key in (KEYS - spec.keys) & probe.model_fields_set:
            users = listed(users_of(key))
            self._problems.add((*path, key), f"is not used by {probe.scenario}; it belongs to {users}", scenario)
        schedule = (*path, "schedule")
        if not spec.continuous and not probe.is_scheduled:
            what = f"{probe.scenario} cannot be continuous" if probe.is_continuous else "is missing"
            self._problems.add(schedule, f"{what}; expected {{every: 5m}} or {{cron: …, timezone: …}}", scenario)
        elif spec.continuous:
            unused, needs = (
                (spec.bounded_keys, "a bounded run")
                if probe.is_continuous
                else (spec.continuous_keys, "schedule: continuous")
            )
            for key in unused & probe.model_fields_set:
                self._problems.add((*path, key), f"belongs to {needs}; leave it out here", schedule, scenario)
        self._deadline(path, probe)
        if spec.offline:
            self._history(path, probe)

    def _deadline(self, path: KeyPath, probe: ProbeConfig) -> None:
        """Check that a bounded run ends before the next one starts."""
        period = probe.period
        if period is None or "schedule" not in probe.model_fields_set or probe.deadline <= period:
            return
        key = "timeout" if "timeout" in probe.model_fields_set else "schedule"
        self._problems.add(
            (*path, key),
            f"does not fit: with its waits and timeouts a run takes up to {show_duration(probe.deadline)}, "
            f"and the next one starts after {show_duration(period)}; expected a shorter run or a longer period",
            *((*path, key) for key in ("schedule", "scenario", "timeout", *KEYS)),
        )

    def _history(self, path: KeyPath, probe: ProbeConfig) -> None:
        """Check that the relay's history keeps the messages until the offline wallet is back."""
        for name in probe.relays or self._relays:
            if name not in self._relays:
                continue
            relay_path, relay = self._relays[name]
            history = (*relay_path, "history")
            depends_on = (history, (*path, "scenario"), (*path, "relays"))
            offline = probe.delay + probe.timeout
            if offline > relay.history.ttl:
                self._problems.add(
                    (*path, "delay"),
                    f"delay + timeout is {show_duration(offline)}, longer than relay {name} keeps its history; "
                    f"expected at most its ttl of {show_duration(relay.history.ttl)}",
                    (*path, "timeout"),
                    *depends_on,
                )
            if probe.messages > relay.history.size:
                self._problems.add(
                    (*path, "messages"),
                    f"{probe.messages} is more than the history of relay {name} holds; "
                    f"expected at most its size of {relay.history.size}",
                    *depends_on,
                )
