"""What `check` says of a good configuration: its cost to relays, process and Prometheus, and the times to a page."""

from __future__ import annotations

import ipaddress
import math
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitor.config.attempts import AttemptCost, attempt_costs
from monitor.config.capacity import RelayFootprint, footprint
from monitor.config.process_cost import MAX_SHARDS, Limit, ProcessCosts
from monitor.config.sharding import relays_of_shards
from monitor.config.units import show_duration
from monitor.health.resources import descriptor_limit, memory_limit
from monitor.metrics.footprint import BYTES_A_SERIES, series_cost
from monitor.text_table import Column, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config, RelayConfig
    from monitor.config.process_cost import ProcessCost
    from monitor.metrics.footprint import SeriesCost

MAX_ROWS: Final = 20
"""Largest number of relays of which each has a row."""

_LOAD: Final = (
    Column("relay"),
    Column("persistent\nconnections", right=True),
    Column("connects/min\n(max, limit)", right=True),
    Column("messages/min\n(max, limit)", right=True),
    Column("channels\nper hour", right=True),
    Column("history\nkeys", right=True),
)
_TIMES: Final = (
    Column("relay"),
    Column("attempt every"),
    Column("page after\na kill", right=True),
    Column("page after it\nrefuses new clients", right=True),
)
_PROCESS: Final = (
    Column("process"),
    Column("relays", right=True),
    Column("share of\na core", right=True),
    Column("resident\nmemory", right=True),
    Column("persistent\nconnections", right=True),
    Column("descriptors,\nat most", right=True),
)
_SERIES: Final = (
    Column("Prometheus"),
    Column("active series", right=True),
    Column("samples/s", right=True),
    Column("memory", right=True),
)


def lines(config: Config, *, width: int | None = None) -> Iterator[str]:
    """Yield the tables line by line, for a terminal of `width`, and what may surprise as sentences after them."""
    costs = list(zip(config.relays, footprint(config), attempt_costs(config), strict=True))
    yield ""
    where = "" if len(config.locations) == 1 else f" from each of {len(config.locations)} locations"
    yield from paragraph(f"Load on each relay{where} while nothing fails, attempts included:", width=width)
    yield ""
    yield from table(_LOAD, _merged([_load(*cost) for cost in costs]), width=width)
    yield ""
    yield from paragraph("Time to a page, at most:", width=width)
    yield ""
    yield from table(_TIMES, _merged([_times(cost) for _, _, cost in costs]), width=width)
    series = series_cost(config)
    processes = ProcessCosts(config, series.of_relays, series.own)
    yield ""
    yield from table(_PROCESS, [_process(config, processes.largest)], width=width)
    yield ""
    yield from table(_SERIES, list(_series(config, series)), width=width)
    if config.shards > 1:
        shards = [
            (f"{number}/{config.shards}", ", ".join(names) or "no relay")
            for number, names in enumerate(relays_of_shards(config))
        ]
        yield ""
        yield from table((Column("shard"), Column("relays")), shards, width=width)
    for text in chain(_process_notes(config, processes), *(_notes(*cost) for cost in costs)):
        yield ""
        yield from paragraph(text, width=width)


def _merged(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Join rows that differ in the relay's name alone, if there are more than `MAX_ROWS`."""
    if len(rows) <= MAX_ROWS:
        return rows
    names: dict[tuple[str, ...], list[str]] = {}
    for name, *cells in rows:
        names.setdefault(tuple(cells), []).append(name)
    return [(_abridged(*each), *cells) for cells, each in names.items()]


def _abridged(name: str, *others: str) -> str:
    return f"{name} and {len(others)} other{'s' * (len(others) > 1)}" if others else name


def _load(relay: RelayConfig, probes: RelayFootprint, attempts: AttemptCost) -> tuple[str, ...]:
    connects = probes.connects + attempts.connects, probes.peak_connects + attempts.connects
    messages = probes.messages + attempts.messages, probes.peak_messages + attempts.messages
    return (
        relay.name,
        f"{probes.connections}",
        f"{_rate(connects[0])} ({_rate(connects[1])}, {relay.limits.connects_per_minute})",
        f"{_rate(messages[0])} ({_rate(messages[1])}, {relay.limits.messages_per_minute})",
        _rate(probes.channels + attempts.channels * 60),
        f"{probes.history_keys + attempts.history_keys}",
    )


def _times(cost: AttemptCost) -> tuple[str, ...]:
    if math.isinf(cost.every):
        return cost.relay, "never: no room in limits", _duration(cost.killed), "never"
    stretched = f" ({show_duration(cost.wanted)} exceeds its limits)" if cost.every > cost.wanted else ""
    return cost.relay, f"{_duration(cost.every)}{stretched}", _duration(cost.killed), _duration(cost.refused)


def _process(config: Config, cost: ProcessCost) -> tuple[str, ...]:
    decimals = 0 if cost.cpu >= 0.1 else 1  # noqa: PLR2004 - below ten percent, one decimal
    return (
        "this one" if config.shards == 1 else f"the largest of {config.shards}",
        f"{cost.relays}",
        f"about {100 * cost.cpu:.{decimals}f} %",
        f"about {cost.memory / 1e6:.0f} MB",
        f"{cost.connections}",
        f"{cost.descriptors}",
    )


def _process_notes(config: Config, processes: ProcessCosts) -> Iterator[str]:
    """Yield a warning if the largest process exceeds a limit; descriptors and memory are those of this machine."""
    cost, descriptors, memory = processes.largest, descriptor_limit(), memory_limit()
    exceeded = cost.exceeded(descriptors=descriptors, memory=memory)
    if not exceeded:
        return
    needed = processes.shards_needed(descriptors=descriptors, memory=memory)
    if needed is None:
        less = "raise the limit, or give each relay fewer probes"
        advice = f"{less}: a process with one relay exceeds it, so more shards do not help"
    elif needed > MAX_SHARDS:
        most = max(MAX_SHARDS, config.shards)
        advice = f"make fewer runs, or raise the limit: more than {most} processes would be needed"
    else:
        advice = f"divide the relays among {needed} processes (shards: {needed}, run --shard I/{needed})"
    process = "this process" if config.shards == 1 else f"the largest of {config.shards} processes"
    texts = [_exceeds(cost, limit, most) for limit, most in exceeded.items()]
    yield f"Warning: {process} {'; it '.join(texts)}: {advice}."


def _exceeds(cost: ProcessCost, limit: Limit, most: float) -> str:
    """Return the part of the warning about one limit, which is `most`."""
    match limit:
        case Limit.CPU:
            return f"takes about {cost.cpu:.0%} of a core; above {most:.0%} it delays the messages that it measures"
        case Limit.DESCRIPTORS:
            return f"may need {cost.descriptors} descriptors, and the hard limit here is {most:.0f} (ulimit -Hn)"
        case Limit.MEMORY:
            return f"needs about {cost.memory / 1e6:.0f} MB, and the limit of memory here is {most / 1e6:.0f} MB"


def _series(config: Config, cost: SeriesCost) -> Iterator[tuple[str, ...]]:
    processes = len(config.locations) * config.shards
    memory = f"about {cost.of_all * BYTES_A_SERIES / 1e6:.0f} MB"
    yield "a relay, at most", f"{cost.of_relay}", f"{cost.of_relay / cost.interval:.0f}", ""
    yield "this process", f"{cost.of_process}", f"{cost.of_process / cost.interval:.0f}", ""
    name = "all, without rules" if processes == 1 else f"all {processes} processes, without rules"
    yield name, f"{cost.of_all}", f"{cost.of_all / cost.interval:.0f}", memory


def _notes(relay: RelayConfig, probes: RelayFootprint, attempts: AttemptCost) -> Iterator[str]:
    """Yield the warnings about one relay."""
    if math.isinf(attempts.every):
        yield (
            f"Warning: {relay.name}: its limits leave no room for attempts, so nobody is paged when only new clients "
            "are refused; raise connects_per_minute or messages_per_minute."
        )
    minutes = math.ceil(probes.connections / (relay.limits.connects_per_minute - relay.limits.reserve))
    if minutes > 1:
        yield f"{relay.name}: with its limits it takes {minutes} minutes after a start to open all connections."
    if _reveals_secrets(relay):
        yield f"Warning: {relay.name}: ws:// sends its token and headers unencrypted; use wss://."


def _reveals_secrets(relay: RelayConfig) -> bool:
    """Return whether secrets of a relay leave this host without TLS."""
    secrets = relay.token or relay.token_file or relay.headers.dapp or relay.headers.wallet
    url = urlsplit(relay.url)
    return bool(secrets) and url.scheme == "ws" and not _is_loopback(url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _duration(seconds: float) -> str:
    return show_duration(math.ceil(seconds))


def _rate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
