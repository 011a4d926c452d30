"""The rules of one side of a comparison: those of a configuration, or of a rule file that was generated from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from monitor.config import parse
from monitor.errors import StartupError
from monitor.metrics.relay_info import INFO, settings_labels
from monitor.simulation.notifications import Alertmanager
from monitor.simulation.promql import Series, selectors_of
from monitor.simulation.replay.rule_file import groups_of, has_rules
from monitor.simulation.ruler import needed, spans
from monitor.slo.alertmanager import alertmanager_file
from monitor.slo.rules import groups
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from monitor.config import Config
    from monitor.simulation.promql import Labels
    from monitor.simulation.promql.parse import Selector
    from monitor.simulation.promql.series import Floats
    from monitor.slo.rules.rule import Group

MAX_FILE_BYTES: Final = 32 << 20
"""Largest rule file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules that page, those that these need, and what sends their alerts.

    name: the file that they are from.
    interval: seconds between evaluations of a group without its own interval.
    config: None for a rule file; its alerts take the routes of the other side's configuration.
    """

    name: str
    groups: Sequence[Group]
    interval: float
    common_labels: Mapping[str, str]
    alertmanager: Alertmanager
    config: Config | None

    @classmethod
    def of_config(cls, name: str, config: Config) -> RuleSet:
        """Return the rules that `generate` writes from a configuration."""
        alertmanager = Alertmanager(alertmanager_file(config))
        common = {**config.alerts.labels, "install": config.install}
        return cls(
            name=name,
            groups=_paging(groups(config), alertmanager, common),
            interval=config.prometheus.evaluation_interval,
            common_labels=common,
            alertmanager=alertmanager,
            config=config,
        )

    @classmethod
    def of_rules(cls, name: str, document: Any, beside: RuleSet) -> RuleSet:
        """Return the rules of a rule file; `beside` has the routes and the interval. Raises `ValueError`."""
        made = groups_of(document)
        _check_order(made)
        return cls(
            name=name,
            groups=_paging(made, beside.alertmanager, {}),
            interval=beside.interval,
            common_labels={},
            alertmanager=beside.alertmanager,
            config=None,
        )

    @property
    def history(self) -> float:
        """Seconds before an evaluation for which its alerts and all that they read need samples."""
        return max(spans(self.groups).values(), default=0.0)

    def selectors(self) -> Iterator[Selector]:
        """Yield each selector of a series that no rule records."""
        recorded = {rule.name for group in self.groups for rule in group.rules if not isinstance(rule, Alert)}
        for group in self.groups:
            for rule in group.rules:
                yield from (each for each in selectors_of(rule.expr) if each.name not in recorded)

    def exported(self, series: Iterable[Series], interval: float) -> list[Series]:
        """Return recorded series as the monitors of this configuration would have exported them; `interval` of scrapes.

        Relays have its settings, and relays that it does not have are left out.
        """
        if self.config is None:
            return list(series)
        relays = {relay.name: settings_labels(relay) for relay in self.config.relays}
        found = []
        informing: dict[Labels, list[Series]] = {}
        for each in series:
            relay = each.get("relay")
            if relay and relay not in relays:
                continue
            if each.name != INFO:
                found.append(each)
                continue
            known = {name: value for name, value in each.labels if name != "__name__"} | relays[relay]
            informing.setdefault(tuple(sorted(item for item in known.items() if item[1])), []).append(each)
        return found + [_merged(of, parts, interval) for of, parts in informing.items()]


def load_rule_set(path: Path, environ: Mapping[str, str], beside: RuleSet) -> RuleSet:
    """Return the rules of a configuration or of a rule file, whichever the keys of the file show it to be.

    Raises `ConfigError`, and `StartupError` if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise StartupError(f"{path}: is larger than {MAX_FILE_BYTES >> 20} MB")
        text = content.decode()
        document = yaml.safe_load(text)
        if has_rules(document):
            return RuleSet.of_rules(str(path), document, beside)
    except OSError as error:
        raise StartupError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StartupError(f"{path}: is not YAML: {str(error).splitlines()[0]}") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise StartupError(f"{path}: {error}") from None
    return RuleSet.of_config(str(path), parse(text, str(path), environ, check_files=False))


def _paging(made: Sequence[Group], alertmanager: Alertmanager, common: Mapping[str, str]) -> list[Group]:
    """Return the rules of critical alerts and of those that inhibit them, and what these need."""

    def wanted(alert: Alert) -> bool:
        static = {"alertname": alert.name, "severity": alert.severity, "service": "relay-monitor", **alert.labels}
        return alert.severity == "critical" or alertmanager.inhibits({**static, **common})

    return needed(made, wanted)


def _check_order(made: Sequence[Group]) -> None:
    """Raise `ValueError` for a rule that reads what a later one records."""
    recorded = [rule.name for group in made for rule in group.rules if not isinstance(rule, Alert)]
    known: set[str] = set()
    for group in made:
        for rule in group.rules:
            if not isinstance(rule, Alert):
                known.add(rule.name)
            for each in selectors_of(rule.expr):
                if each.name in recorded and each.name not in known:
                    raise ValueError(f"rule {rule.name} reads {each.name}, which a later rule records")


def _merged(of: Labels, parts: Sequence[Series], interval: float) -> Series:
    """Join series that follow one another into one."""
    if len(parts) == 1:
        return Series(INFO, of, parts[0].times, parts[0].values)
    sampled = np.unique(np.concatenate([part.samples[0] for part in parts]))
    ends = np.unique(np.concatenate([_ends(part, sampled, 1.5 * interval) for part in parts]))
    times = np.concatenate((sampled, ends))
    order = np.argsort(times, kind="stable")
    values = np.concatenate((np.ones(len(sampled)), np.full(len(ends), np.nan)))
    return Series(INFO, of, times[order], values[order])


def _ends(part: Series, sampled: Floats, within: float) -> Floats:
    """Return the stale markers of a series after which none of the others has a sample soon."""
    markers = part.times[np.isnan(part.values)]
    own = part.samples[0]
    if not len(own):
        return markers[:0]
    last = own[np.maximum(np.searchsorted(own, markers, side="right") - 1, 0)]
    following = np.searchsorted(sampled, last, side="right")
    after = np.append(sampled, np.inf)[following]
    return markers[after > markers + within]
