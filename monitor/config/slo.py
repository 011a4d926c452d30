"""Service level objectives: the SLI, the probes and the objective of each."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from monitor.config.fields import (
    THAWED,
    Duration,
    Kind,
    Name,
    OneOrMore,
    Ratio,
    Section,
    frozen,
    no_entries,
    one_or_more,
)
from monitor.config.probe import ProbeConfig
from monitor.scenarios import SPECS
from monitor.vocabulary import Sli

Threshold = Annotated[float, Duration("1ms", "1m")]


def _default_window(data: dict[str, Any]) -> float:
    return 86_400.0 if data.get("sli") is Sli.TREND else 2_592_000.0


class OverrideConfig(Section):
    """The values of one relay that differ from the SLO's."""

    threshold: Threshold | None = Field(None, description="replaces the SLO's")
    objective: Ratio | None = Field(None, description="replaces the SLO's")


class SloConfig(Section):
    """One objective. A `trend` has no error budget: it only warns."""

    name: Name = Field(description="name in labels, alerts and pages")
    probe: Annotated[
        tuple[Name, ...], Field(min_length=1, max_length=200), BeforeValidator(one_or_more), OneOrMore()
    ] = Field(description="the probe or probes whose events it counts")
    sli: Sli = Field(
        description="availability: exchanges that succeed; latency: exchanges within the threshold; pairing: pairings "
        "that succeed; stability: share of the time that pairs are connected; trend: P99 of the last hour against "
        "the window before it"
    )
    threshold: Threshold | None = Field(None, description="latency only: the longest round trip of a good exchange")
    objective: Ratio | None = Field(None, description="the share of good events (not for trend)")
    window: Annotated[float, Duration("1h", "90d")] = Field(
        default_factory=_default_window, description="the period that it covers (default 30d, trend 1d)"
    )
    factor: Annotated[float, Field(gt=1, le=100)] | None = Field(
        default_factory=lambda data: 1.2 if data.get("sli") is Sli.TREND else None,
        description="trend only: warn if the P99 rises by more than this factor (default 1.2)",
    )
    overrides: Annotated[
        Mapping[Name, OverrideConfig],
        Field(max_length=1000),
        AfterValidator(frozen),
        THAWED,
        Kind("relay → `{threshold, objective}`"),
    ] = Field(default_factory=no_entries, description="relays with another threshold or objective")

    def threshold_for(self, relay: str) -> float | None:
        """The threshold of a relay, in seconds; None if the SLI has none."""
        override = self.overrides.get(relay)
        return override.threshold if override is not None and override.threshold is not None else self.threshold

    def objective_for(self, relay: str) -> Decimal | None:
        """The objective of a relay; None for trend."""
        override = self.overrides.get(relay)
        return override.objective if override is not None and override.objective is not None else self.objective


def produces(probe: ProbeConfig, sli: Sli) -> bool:
    """Whether `probe` produces the events that `sli` counts."""
    return sli in SPECS[probe.scenario].slis and (sli is not Sli.STABILITY or probe.is_continuous)
