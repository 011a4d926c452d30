"""The fresh attempts at a relay: how often they fit into its limits, what they cost, and the time to a page.

An attempt is a new pairing and one message: two connects, two published messages, two channels (handshake and session).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config.capacity import footprint_of
from monitor.config.relay import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME, REDUCED_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import ConfirmConfig, RelayConfig

CONNECTS: Final = 2
MESSAGES: Final = 2
CHANNELS: Final = 2

MAX_ENDPOINTS: Final = 8
"""Endpoints that one round of attempts covers."""

GROUP_WAIT: Final = 5.0
"""Seconds from a page about the verdict on a relay to its notification.

The alerts of one relay begin to fire in one evaluation, and a second Prometheus sends the same ones. With 10 seconds
the median from a killed relay to its page is above a minute.
"""

_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCost:
    """The attempts at one relay while nothing fails.

    every: seconds between two of them. wanted: the same as configured.
    connects, messages, channels: per minute. history_keys: channels in the relay's history at a time.
    killed, refused: seconds until a page at most: of a relay that is killed, and of one that refuses new clients only.
    """

    relay: str
    every: float
    wanted: float
    connects: float
    messages: float
    channels: float
    history_keys: int
    killed: float
    refused: float


def attempt_interval(relay: RelayConfig, probes: Iterable[ProbeConfig]) -> float:
    """Return the seconds between two attempts at a relay with these probes: `confirm.every`, or longer to fit.

    Attempts get what `limits` leave when each probe starts a run in the same minute and a failure is confirmed. It is
    infinite if that is nothing.
    """
    need = footprint_of(relay, probes)
    connects = relay.limits.connects_per_minute - relay.limits.reserve - need.peak_connects
    messages = relay.limits.messages_per_minute - need.peak_messages
    if connects <= 0 or messages <= 0:
        return math.inf
    return max(relay.confirm.every, CONNECTS * _MINUTE / connects, MESSAGES * _MINUTE / messages)


def attempt_spacing(confirm: ConfirmConfig, timeout: float) -> float:
    """Return the seconds between the starts of two attempts of a round, with a probe's `timeout` in seconds."""
    if confirm.attempts == 1:
        return CONFIRMATION_SPACING
    slowest = min(timeout, MAX_ATTEMPT_TIME, confirm.within)
    return min(CONFIRMATION_SPACING, (confirm.within - slowest) / (confirm.attempts - 1))


def round_attempts(relay: RelayConfig) -> int:
    """Return the largest number of attempts of a round.

    A round that fails meets `MAX_ENDPOINTS` endpoints and as many again that are not known to fail.
    """
    return max(relay.confirm.attempts, min(2 * MAX_ENDPOINTS, len(relay.endpoints)))


def round_time(relay: RelayConfig, probes: Sequence[ProbeConfig]) -> float:
    """Return the seconds from a failure to the verdict, if each attempt takes all its time.

    Attempts have the timeout of the first probe.
    """
    confirm = relay.confirm
    number = round_attempts(relay)
    timeout = min([MAX_ATTEMPT_TIME, confirm.within, *(probe.timeout for probe in probes[:1])])
    return (number - 1) * attempt_spacing(confirm, timeout) + timeout


def slowest_verdict(relay: RelayConfig) -> float:
    """Return the seconds from a failure to the verdict where the relay asks for fewer connects."""
    return (relay.confirm.attempts - 1) * REDUCED_INTERVAL + min(MAX_ATTEMPT_TIME, relay.confirm.within)


def attempt_costs(config: Config) -> list[AttemptCost]:
    """Return the cost at each relay, in the configuration's order."""
    after = config.prometheus.scrape_interval + config.prometheus.evaluation_interval + GROUP_WAIT
    costs = []
    for relay in config.relays:
        probes = [probe for probe in config.probes if relay.name in probe.relays]
        every = attempt_interval(relay, probes)
        per_minute = _MINUTE / every
        killed = round_time(relay, probes) + relay.page_after + after
        costs.append(
            AttemptCost(
                relay=relay.name,
                every=every,
                wanted=relay.confirm.every,
                connects=CONNECTS * per_minute,
                messages=MESSAGES * per_minute,
                channels=CHANNELS * per_minute,
                history_keys=math.ceil(CHANNELS * per_minute * relay.history.ttl / _MINUTE),
                killed=killed,
                refused=every + killed,
            )
        )
    return costs
