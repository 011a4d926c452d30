"""Alertmanager on simulated alerts: routes, groups, inhibition; read from the generated configuration itself."""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml

from monitor.config.units import parse_duration
from monitor.simulation.promql.series import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.simulation.promql import Labels
    from monitor.simulation.ruler import Firing

_MATCHER: Final = re.compile(r'\s*(?P<label>[\w-]+)\s*(?P<operator>=~|!~|!=|=)\s*"?(?P<value>.*?)"?\s*')

Matchers: TypeAlias = "tuple[tuple[str, str, str], ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a receiver gets about one group at `at`: the alerts that fire, those of them that are new, and if any."""

    at: float
    receiver: str
    group: Labels
    firing: tuple[Firing, ...]
    new: tuple[Firing, ...]

    @property
    def pages(self) -> bool:
        """True if it tells of a new critical alert."""
        return any(each.severity == "critical" for each in self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    receiver: str
    matchers: Matchers
    group_by: tuple[str, ...]
    group_wait: float
    group_interval: float
    repeat_interval: float
    goes_on: bool
    routes: tuple[_Route, ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any], parent: _Route | None = None) -> _Route:
        """Return a route with what it inherits."""

        def seconds(name: str, default: str) -> float:
            if name in raw:
                return parse_duration(raw[name])
            return float(getattr(parent, name)) if parent is not None else parse_duration(default)

        route = cls(
            receiver=raw.get("receiver") or (parent.receiver if parent else ""),
            matchers=_matchers(raw.get("matchers", ())),
            group_by=tuple(raw["group_by"]) if "group_by" in raw else parent.group_by if parent else (),
            group_wait=seconds("group_wait", "30s"),
            group_interval=seconds("group_interval", "5m"),
            repeat_interval=seconds("repeat_interval", "4h"),
            goes_on=bool(raw.get("continue", False)),
            routes=(),
        )
        children = tuple(cls.of(each, route) for each in raw.get("routes", ()))
        return cls(**{name: getattr(route, name) for name in cls.__slots__ if name != "routes"}, routes=children)

    def find(self, labels: Mapping[str, str]) -> Iterator[_Route]:
        """Yield the routes that an alert with these labels takes."""
        found = False
        for route in self.routes:
            if _match(route.matchers, labels):
                found = True
                yield from route.find(labels)
                if not route.goes_on:
                    break
        if not found:
            yield self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inhibition:
    source: Matchers
    target: Matchers
    equal: tuple[str, ...]


class Alertmanager:
    """An Alertmanager with the configuration of this YAML text."""

    def __init__(self, text: bytes | str) -> None:
        raw = yaml.safe_load(text)
        self._root = _Route.of(raw["route"])
        self._inhibitions = [
            _Inhibition(
                source=_matchers(each["source_matchers"]),
                target=_matchers(each["target_matchers"]),
                equal=tuple(each.get("equal", ())),
            )
            for each in raw.get("inhibit_rules", ())
        ]

    def inhibits(self, labels: Mapping[str, str]) -> bool:
        """Return whether an alert with these labels may inhibit an alert of another name; others may be added to it."""
        return any(
            "alertname" not in rule.equal
            and all(matches(labels[name], *matcher) for name, *matcher in rule.source if name in labels)
            for rule in self._inhibitions
        )

    def notifications(self, firing: Sequence[Firing], until: float) -> list[Notification]:
        """Return the notifications about these alerts up to a time, by time."""
        by_group: dict[tuple[int, Labels], list[Firing]] = defaultdict(list)
        routes: dict[int, _Route] = {}
        for each in sorted(firing, key=lambda alert: alert.start):
            labels = dict(each.labels)
            for route in self._root.find(labels):
                key = tuple((name, labels.get(name, "")) for name in route.group_by)
                by_group[id(route), key].append(each)
                routes[id(route)] = route
        inhibitors = self.inhibitors(firing)
        found = [
            notification
            for (route, key), alerts in by_group.items()
            for notification in self._of_group(routes[route], key, alerts, inhibitors, until)
        ]
        return sorted(found, key=lambda notification: notification.at)

    def inhibitors(self, firing: Sequence[Firing]) -> dict[Firing, list[Firing]]:
        """Return the alerts that inhibit each alert while they fire."""
        found: dict[Firing, list[Firing]] = defaultdict(list)
        for rule in self._inhibitions:
            sources = defaultdict(list)
            for each in firing:
                labels = dict(each.labels)
                if _match(rule.source, labels):
                    sources[tuple(labels.get(name, "") for name in rule.equal)].append(each)
            for each in firing if sources else ():
                labels = dict(each.labels)
                if not _match(rule.target, labels):
                    continue
                both = _match(rule.source, labels)  # such an alert is not inhibited by another one like it
                found[each] += [
                    source
                    for source in sources.get(tuple(labels.get(name, "") for name in rule.equal), ())
                    if not (both and _match(rule.target, dict(source.labels)))
                ]
        return found

    def _of_group(
        self,
        route: _Route,
        key: Labels,
        alerts: Sequence[Firing],
        inhibitors: Mapping[Firing, Sequence[Firing]],
        until: float,
    ) -> Iterator[Notification]:
        reported: set[Labels] = set()
        reported_at = flush = -math.inf
        waiting: deque[Firing] = deque(alerts)
        members: list[Firing] = []
        while waiting or members:
            if not members:  # the group is made anew
                flush = max(waiting[0].start + route.group_wait, flush)
            if flush > until:
                return
            while waiting and waiting[0].start <= flush:
                members.append(waiting.popleft())
            members = [each for each in members if each.end > flush]
            shown = [each for each in members if not _inhibited(inhibitors.get(each, ()), flush)]
            names = {each.labels for each in shown}
            again = bool(names) and flush - reported_at >= route.repeat_interval
            if names != reported or again:
                new = tuple(each for each in shown if each.labels not in reported)
                yield Notification(at=flush, receiver=route.receiver, group=key, firing=tuple(shown), new=new)
                reported, reported_at = names, flush
            if members:
                changes = [until + route.group_interval, *(each.start for each in list(waiting)[:1])]
                changes += [reported_at + route.repeat_interval] if reported else []
                changes += [
                    time
                    for each in members
                    for one in (each, *inhibitors.get(each, ()))
                    for time in (one.start, one.end)
                    if time > flush
                ]
                steps = math.ceil((min(changes) - flush) / route.group_interval)
                flush += max(1, steps) * route.group_interval


def _inhibited(sources: Sequence[Firing], at: float) -> bool:
    return any(source.start <= at < source.end for source in sources)


def _matchers(texts: Sequence[str]) -> Matchers:
    found = []
    for text in texts:
        match = _MATCHER.fullmatch(text)
        if match is None:
            raise ValueError(f"matcher {text!r} is not known")
        found.append((match["label"], match["operator"], match["value"]))
    return tuple(found)


def _match(matchers: Matchers, labels: Mapping[str, str]) -> bool:
    return all(matches(labels.get(label, ""), operator, value) for label, operator, value in matchers)
