"""Random valid configurations, each with its seed."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import Config, parse
from monitor.errors import ConfigError
from monitor.slo.rules import groups
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from monitor.slo.rules.rule import Group

SECONDS: Final = (1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 180, 300)
DELAYS: Final = (0, 0, 60)
"""Seconds until a sample can be queried: a remote store's lag."""

OBJECTIVES: Final = ("90%", "95%", "99%", "99.5%", "99.9%", "99.99%", "100%")
WINDOWS: Final = ("6h", "1d", "7d", "28d", "30d")


@lru_cache(maxsize=4)
def draw_config(seed: int) -> Config:
    """Draw a valid configuration of one relay."""
    rng = random.Random(seed)
    probes: list[dict[str, Any]] = [
        {
            "name": "steady",
            "scenario": "steady-messaging",
            "pairs": rng.choice((1, 2, 3)),
            "message_interval": rng.choice(("1s", "5s", "5s", "20s")),
        }
    ]
    if rng.random() < 0.5:
        every = rng.choice(("30s", "1m", "5m", "20m"))
        probes.append({"name": "session", "scenario": "realistic-session", "schedule": {"every": every}})
    if rng.random() < 0.5:
        probes.append(
            {"name": "offline", "scenario": "async-delivery", "schedule": {"every": "1m"}, "pairing": "fresh"}
        )
    slos = []
    for number in range(rng.randint(1, 3)):
        sli = rng.choice(("availability", "availability", "latency", "stability", "pairing", "trend"))
        able = [each["name"] for each in probes if sli != "latency" or each["name"] != "offline"]
        able = ["steady"] if sli in {"stability", "trend"} else able
        slos.append(
            {
                "name": f"slo-{number}",
                "sli": sli,
                "probe": rng.sample(able, rng.randint(1, len(able))),
                **({"factor": 1.5} if sli == "trend" else {"objective": rng.choice(OBJECTIVES)}),
                "window": "1d" if sli == "trend" else rng.choice(WINDOWS),
                **({"threshold": "400ms"} if sli == "latency" else {}),
            }
        )
    scrape, evaluation = rng.choice(SECONDS), rng.choice(SECONDS)
    locations = ["here", "there", "third"][: rng.choice((1, 1, 2, 3))]
    relay = {
        "name": "demo",
        "url": "embedded",
        "page_after": rng.choice(("0s", "30s", "30s", "2m")),
        "scope": rng.choice(("global", "global", "regional")),
    }
    return _accepted(
        {
            "location": "here",
            "locations": locations,
            "relays": [relay],
            "probes": probes,
            "slos": slos,
            "prometheus": {"scrape_interval": f"{scrape}s", "evaluation_interval": f"{evaluation}s"},
        }
    )


def _accepted(document: dict[str, Any]) -> Config:
    """Return the document as a configuration, without the SLOs that `check` rejects."""
    try:
        return parse(yaml.safe_dump(document), "config.yaml", {})
    except ConfigError as error:
        refused = {int(found[1]) for problem in error.problems if (found := re.match(r"slos\[(\d+)\]", problem.key))}
        kept = [slo for number, slo in enumerate(document["slos"]) if number not in refused]
    return parse(yaml.safe_dump(document | {"slos": kept}), "config.yaml", {})


@lru_cache(maxsize=4)
def groups_of(seed: int) -> list[Group]:
    """Return the rules of a configuration; several faults share them."""
    return groups(draw_config(seed))


def alerts_of(seed: int) -> list[Alert]:
    """Return the alerts of a configuration."""
    return [rule for group in groups_of(seed) for rule in group.rules if isinstance(rule, Alert)]
