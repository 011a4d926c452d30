"""The series of one relay: its condition, its endpoints, its credentials and the phases of all connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.metrics.declared import BARE_PHASES
from monitor.metrics.failures import OTHER
from monitor.metrics.families import SeriesGroup
from monitor.scenarios import PAIRED
from monitor.vocabulary import Condition, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from monitor.config import ProbeConfig, RelayConfig
    from monitor.metrics.families import Families
    from monitor.results import CertificateSeen, EndpointFailed, PhaseTimed, RelayStatus

MAX_ENDPOINTS: Final = 16
"""Endpoints of one relay that are counted by name."""

ENDPOINT_FAILURES: Final = "relay_endpoint_failures_total"
PHASE: Final = "relay_probe_phase_seconds"
CAUSE: Final = "relay_cause_info"
STATE: Final = "relay_state"
SINCE: Final = "relay_state_since_timestamp_seconds"
INCIDENT: Final = "relay_incident_open"
VERDICTS: Final = ("relay_up", "relay_accepting")
CERTIFICATE: Final = "relay_probe_certificate_expiry_timestamp_seconds"
TOKEN: Final = ("relay_probe_token_expiry_timestamp_seconds", "relay_probe_token_lifetime_seconds")


class RelaySeries:
    """The series of one relay. `labels` are those of a relay."""

    def __init__(
        self, families: Families, labels: tuple[str, ...], relay: RelayConfig, probes: Iterable[ProbeConfig]
    ) -> None:
        self.labels = self._labels = labels
        self.status: RelayStatus | None = None
        self.maintenance = self.incident_open = False
        self.credentials: tuple[float | None, float | None] = (None, None)  # expiry and lifetime of the token
        self.certificate: float | None = None  # when it expires, in Unix time
        self._group = SeriesGroup(families)
        self._lean = families.lean
        self._cause: tuple[str, ...] | None = None
        self._endpoints: set[str] = set()
        self._phases: dict[Phase, Any] = {}
        self._group.series("relay_maintenance", *labels)
        self._group.series(INCIDENT, *labels)
        phases = tuple(Phase) if any(probe.scenario in PAIRED for probe in probes) else BARE_PHASES
        for phase in phases:
            # Whether there is a proxy is known at the first connect alone.
            if phase is not Phase.PROXY and (phase is not Phase.TLS or relay.url.startswith("wss:")):
                self.phase(phase)
        self._set_state(Condition.UNKNOWN)

    def take_over(self, old: RelaySeries) -> None:
        """Continue with the values of an earlier object for the same relay."""
        if old.status is not None:
            self.set_status(old.status)
        self.set_maintenance(old.maintenance)
        self.set_incident_open(old.incident_open)
        self.set_credentials(*old.credentials)
        if old.certificate is not None:
            self._set_certificate(old.certificate)
        for phase in old._phases:
            self.phase(phase)
        self._endpoints = old._endpoints
        self._group.adopt(old._group, ENDPOINT_FAILURES)
        old._group.remove_others(self._group)

    def forget(self) -> None:
        """Remove what is known of the relay's condition, of its certificate and of its endpoints."""
        for name in (*VERDICTS, SINCE, CERTIFICATE):
            self._group.discard(name, *self._labels)
        for endpoint in (*self._endpoints, OTHER):
            self._group.discard(ENDPOINT_FAILURES, *self._labels, endpoint)
        self._endpoints.clear()
        self._set_cause(None)
        self._set_state(Condition.UNKNOWN)
        self.status = self.certificate = None

    def remove(self) -> None:
        """Remove all its series."""
        self._group.remove()

    def phase(self, phase: Phase) -> Any:
        """The histogram of a phase."""
        series = self._phases.get(phase)
        if series is None:
            series = self._phases[phase] = self._group.series(PHASE, *self._labels, phase.value)
        return series

    # Its condition.

    def set_status(self, status: RelayStatus) -> None:
        """Set the condition, the verdicts and the cause."""
        self.status = status
        self._set_state(status.condition)
        self._group.series(SINCE, *self._labels).set(status.since.timestamp())
        for name, value in zip(VERDICTS, (status.up, status.accepting), strict=True):
            if value is None:
                self._group.discard(name, *self._labels)
            else:
                self._group.series(name, *self._labels).set(value)
        cause = None
        if status.cause is not None and status.condition is not Condition.UP:
            cause = (status.cause.step.value, status.cause.reason.value, status.cause.status)
        self._set_cause(cause)

    def _set_cause(self, cause: tuple[str, ...] | None) -> None:
        if cause != self._cause:
            if self._cause is not None:
                self._group.discard(CAUSE, *self._labels, *self._cause)
            if cause is not None:
                self._group.series(CAUSE, *self._labels, *cause).set(1)
            self._cause = cause

    def _set_state(self, condition: Condition) -> None:
        for each in Condition:
            if each is condition or not self._lean or self._group.has(STATE, *self._labels, each.value):
                self._group.series(STATE, *self._labels, each.value).set(each is condition)

    def set_maintenance(self, active: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether it is inside a maintenance window."""
        self.maintenance = active
        self._group.series("relay_maintenance", *self._labels).set(active)

    def set_incident_open(self, is_open: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether it has an open incident."""
        self.incident_open = is_open
        self._group.series(INCIDENT, *self._labels).set(is_open)

    def set_credentials(self, expiry: float | None, lifetime: float | None) -> None:
        """Set the Unix time at which the monitor's token expires, and the seconds for which it is valid in all."""
        self.credentials = (expiry, lifetime)
        for name, value in zip(TOKEN, (expiry, lifetime), strict=True):
            if value is None:
                self._group.discard(name, *self._labels)
            else:
                self._group.series(name, *self._labels).set(value)

    # Reports.

    def phase_timed(self, report: PhaseTimed) -> None:
        """Record the time of a phase."""
        self.phase(report.phase).observe(report.seconds)

    def endpoint_failed(self, report: EndpointFailed) -> None:
        """Count a failed attempt at an endpoint."""
        if report.endpoint not in self._endpoints and len(self._endpoints) < MAX_ENDPOINTS:
            self._endpoints.add(report.endpoint)
        name = report.endpoint if report.endpoint in self._endpoints else OTHER
        self._group.count(ENDPOINT_FAILURES, *self._labels, name)

    def certificate_seen(self, report: CertificateSeen) -> None:
        """Set when the certificate expires."""
        self._set_certificate(report.not_after)

    def _set_certificate(self, not_after: float) -> None:
        self.certificate = not_after
        self._group.series(CERTIFICATE, *self._labels).set(not_after)
