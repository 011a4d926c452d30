"""What must hold between the parts of a configuration. Each fault says what is wrong and what is allowed.

Every check names the values it rests on; where one of them is not known, because it is at fault itself, it is silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config.capacity import footprint_of
from monitor.config.faults import Findings, listed, suggestion
from monitor.config.objectives import Objectives
from monitor.config.units import show_duration
from monitor.scenarios import KEYS, SPECS, users_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.config.document import KeyPath, Node
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import RelayConfig
    from monitor.config.slo import SloConfig
    from monitor.errors import Fault

_INDEPENDENT: Final = 2


def check(config: Config, root: Node, unknown: Iterable[KeyPath]) -> list[Fault]:
    """Every fault between the values of `config`, which `root` was read from; nothing that rests on `unknown` paths."""
    found = Findings(root, unknown)
    checker, objectives = _Checker(config, found), Objectives(config, found)
    checker.monitor()
    for section in ("relays", "probes", "slos"):
        checker.names(section)
    for index, relay in enumerate(config.relays):
        checker.relay(("relays", index), relay)
        checker.seen(("relays", index), relay)
    for index, probe in enumerate(config.probes):
        checker.watched(("probes", index), probe.relays, given="relays" in probe.model_fields_set)
        checker.probe(("probes", index), probe)
    for index, slo in enumerate(config.slos):
        objectives.slo(("slos", index), slo)
    for index, window in enumerate(config.maintenance):
        checker.watched(("maintenance", index), window.relays, given="relays" in window.model_fields_set)
    return found.faults


class _Checker:
    """Collects faults. Methods take the path of what they check and the value there."""

    def __init__(self, config: Config, found: Findings) -> None:
        self._config, self._found = config, found
        self._relays = {relay.name: (("relays", index), relay) for index, relay in enumerate(config.relays)}

    def monitor(self) -> None:
        """Location, shards and reference hosts."""
        config = self._config
        if config.location not in config.locations:
            self._found.add(
                ("location",),
                f"{config.location!r} is not among locations; expected one of {', '.join(config.locations)}",
                ("locations",),
            )
        for index, name in enumerate(config.locations):
            if name in config.locations[:index]:
                self._found.add(("locations", index), f"{name!r} is there twice; expected each location once")
        if config.shards > len(config.relays):
            self._found.add(
                ("shards",),
                f"{config.shards} is more than there are relays, and one shard would have none; "
                f"expected at most {len(config.relays)}",
                ("relays",),
            )
        hosts = {reference.rpartition(":")[0].lower() for reference in config.references}
        if config.references and len(hosts) < _INDEPENDENT:
            self._found.add(("references",), "names one host; expected two or more independent ones, or none")

    def names(self, section: str) -> None:
        """Names are unique within their section."""
        items: Sequence[RelayConfig | ProbeConfig | SloConfig] = getattr(self._config, section)
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            before = first.setdefault(item.name, index)
            if before != index:
                other = (section, before, "name")
                line = self._found.line_of(other)
                self._found.add(
                    (section, index, "name"), f"{item.name!r} is taken in line {line}; expected another", other
                )

    def relay(self, path: KeyPath, relay: RelayConfig) -> None:
        """A relay's ways in fit together, and the probes fit its limits."""
        url = (*path, "url")
        if relay.url == "embedded" and relay.endpoints:
            self._found.add((*path, "endpoints"), "has no meaning for the embedded relay; expected none", url)
        if relay.token is not None and relay.token_file is not None:
            self._found.add((*path, "token_file"), "stands beside token; expected one of the two")
        if relay.tls is not None:
            if not relay.url.startswith("wss://"):
                self._found.add((*path, "tls"), "needs a wss:// url", url)
            if (relay.tls.cert_file is None) != (relay.tls.key_file is None):
                self._found.add((*path, "tls"), "has one of cert_file and key_file; expected both or none")
        urls = [endpoint for endpoint in relay.endpoints if isinstance(endpoint, str)]
        if any(each.split(":")[0] != relay.url.split(":")[0] for each in urls) and relay.url != "embedded":
            self._found.add(
                (*path, "endpoints"), "differ from url in their scheme; expected all wss:// or all ws://", url
            )
        self._limits(path, relay)

    def seen(self, path: KeyPath, relay: RelayConfig) -> None:
        """A relay is watched: of one that no probe names nothing would be known, and nobody told when it is down."""
        probes = self._config.probes
        if not any(not probe.relays or relay.name in probe.relays for probe in probes):
            self._found.add(
                (*path, "name"),
                f"{relay.name!r} is watched by no probe; name it in the relays of one, or take it out",
                *(("probes", index, "relays") for index in range(len(probes))),
            )

    def _limits(self, path: KeyPath, relay: RelayConfig) -> None:
        watching = [
            (("probes", index), probe)
            for index, probe in enumerate(self._config.probes)
            if not probe.relays or relay.name in probe.relays
        ]
        # A probe that cannot run as it stands has a fault of its own.
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
                more = f", and {kept} are kept to confirm a failure" if kept else ""
                self._found.add(
                    (*path, "limits", key),
                    f"{allowed} is exceeded: the probes need {peak:.1f} in a minute that starts a run of each{more}; "
                    "raise it, or let them run more rarely or with fewer pairs or connections",
                    *(probe_path for probe_path, _ in watching),
                    *(("probes", index, "relays") for index in range(len(self._config.probes))),
                )

    def watched(self, path: KeyPath, names: tuple[str, ...], *, given: bool) -> None:
        """`relays` of a probe or a window names relays that exist, each once, and at least one."""
        if given and not names:
            self._found.add((*path, "relays"), "names no relay; name one, or leave the key out for all")
        known = [("relays", index, "name") for index in range(len(self._config.relays))]
        for index, name in enumerate(names):
            if name not in self._relays:
                message = f"{name!r} is not a relay; {suggestion(name, self._relays)}"
                self._found.add((*path, "relays", index), message, *known)
            elif name in names[:index]:
                self._found.add((*path, "relays", index), f"{name!r} is there twice; expected each relay once")

    def probe(self, path: KeyPath, probe: ProbeConfig) -> None:
        """A probe's keys belong to its scenario, and its numbers fit each other and its relays."""
        scenario = (*path, "scenario")
        spec = SPECS[probe.scenario]
        for key in (KEYS - spec.keys) & probe.model_fields_set:
            users = listed(users_of(key))
            self._found.add((*path, key), f"is not used by {probe.scenario}; it belongs to {users}", scenario)
        schedule = (*path, "schedule")
        if not spec.continuous and not probe.is_scheduled:
            what = f"{probe.scenario} cannot be continuous" if probe.is_continuous else "is missing"
            self._found.add(schedule, f"{what}; expected {{every: 5m}} or {{cron: …, timezone: …}}", scenario)
        elif spec.continuous:
            unused, needs = (
                (spec.bounded_keys, "a bounded run")
                if probe.is_continuous
                else (spec.continuous_keys, "schedule: continuous")
            )
            for key in unused & probe.model_fields_set:
                self._found.add((*path, key), f"belongs to {needs}; leave it out here", schedule, scenario)
        self._fits(path, probe)
        if spec.offline:
            self._kept(path, probe)

    def _fits(self, path: KeyPath, probe: ProbeConfig) -> None:
        """A bounded run is over before the next one starts."""
        period = probe.period
        if period is None or "schedule" not in probe.model_fields_set or probe.deadline <= period:
            return
        place: KeyPath = (*path, "timeout") if "timeout" in probe.model_fields_set else (*path, "schedule")
        self._found.add(
            place,
            f"cannot fit: with its waits and time-outs a run takes up to {show_duration(probe.deadline)}, "
            f"and the next one starts {show_duration(period)} after it; expected a shorter run or a longer period",
            *((*path, key) for key in ("schedule", "scenario", "timeout", *KEYS)),
        )

    def _kept(self, path: KeyPath, probe: ProbeConfig) -> None:
        """What is sent to an absent wallet is still in the relay's history when the wallet comes back."""
        for name in probe.relays or self._relays:
            if name not in self._relays:
                continue
            relay_path, relay = self._relays[name]
            history = (*relay_path, "history")
            rests_on = (history, (*path, "scenario"), (*path, "relays"))
            away = probe.delay + probe.timeout
            if away > relay.history.ttl:
                self._found.add(
                    (*path, "delay"),
                    f"delay + timeout is {show_duration(away)}, past the history of relay {name}; "
                    f"expected at most its ttl of {show_duration(relay.history.ttl)}",
                    (*path, "timeout"),
                    *rests_on,
                )
            if probe.messages > relay.history.size:
                self._found.add(
                    (*path, "messages"),
                    f"{probe.messages} is more than the history of relay {name} holds; "
                    f"expected at most its size of {relay.history.size}",
                    *rests_on,
                )


def _has_slots(probe: ProbeConfig) -> bool:
    """Whether the file says when this probe runs."""
    return "schedule" in probe.model_fields_set and not probe.is_continuous
