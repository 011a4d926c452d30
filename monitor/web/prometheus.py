"""A client of the Prometheus at `prometheus.url`: firing alerts, every location's conditions, events of the SLOs.

It speaks the HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/), which Thanos and Mimir have too.
Time, size and number of its requests are bounded. All methods block: they are called in a thread.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec

from monitor.config import reveal, show_duration
from monitor.drill import ALERT, LABEL
from monitor.errors import MonitorError, StartupError, printable
from monitor.vocabulary import Condition
from monitor.web.model import AlertView, LocationView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.config import PrometheusConfig

SILENCE_TIMEOUT: Final = 5.0
"""Seconds that Prometheus may be silent."""

RESPONSE_TIMEOUT: Final = 10.0
"""Seconds for a whole response."""

QUERY_TIMEOUT: Final = 150.0
"""Seconds for a query of long times. Prometheus ends one after two minutes with status 503, which says why."""

MAX_BYTES: Final = 4 << 20
"""Largest response."""

UNAUTHORIZED: Final = 401

MAX_ALERTS: Final = 200
"""Firing alerts that are kept: critical ones first."""

MAX_TEXT: Final = 300
"""Characters of a text."""

_SEVERITIES: Final = ("critical", "warning", "info", "none")


class PrometheusError(MonitorError):
    """Prometheus did not give an answer. The message says why, in one line."""


class NotFoundError(PrometheusError):
    """The server has no such endpoint."""


class TooMuchDataError(PrometheusError):
    """The response was too large or took too long: a query of less time may succeed."""


_MAJOR_VERSIONS: Final = ("2", "3")
"""Major versions of Prometheus. Thanos reports a version of its own, which begins with 0."""

_NOT_FOUND: Final = 404
_NOT_EVALUATED: Final = 422
_TOO_SLOW: Final = 503

_TOO_MUCH: Final = ("too many samples", "exceeded")
"""What the message of a query that was not evaluated has if a limit is the reason; Thanos and Mimir name theirs."""


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    state: str
    annotations: dict[str, str] = {}
    activeAt: str = ""  # noqa: N815 - the API's name


class _Alerts(msgspec.Struct):
    alerts: list[_Alert]


class _AlertsResponse(msgspec.Struct):
    data: _Alerts


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct):
    result: list[_Sample]


class _VectorResponse(msgspec.Struct):
    data: _Vector


class SampledSeries(msgspec.Struct):
    """The samples of a series; `values` is their JSON: a list of pairs, Unix seconds and the value as text."""

    metric: dict[str, str]
    values: msgspec.Raw = msgspec.Raw(b"[]")


class _Matrix(msgspec.Struct):
    result: list[SampledSeries]


class _MatrixResponse(msgspec.Struct):
    data: _Matrix


class _Build(msgspec.Struct):
    version: str = ""
    application: str = "Prometheus"  # Mimir names itself, with its own version


class _BuildResponse(msgspec.Struct):
    data: _Build


class _ErrorResponse(msgspec.Struct):
    error: str = ""


@dataclass(frozen=True, slots=True)
class SloEvents:
    """Events of one SLO at one relay, of all locations and probes, and the seconds for which there are samples."""

    good: float = 0.0
    bad: float = 0.0
    span_seconds: float = 0.0


class PrometheusClient:
    """Reads the series and alerts of one install from the Prometheus at `url`.

    settings: name its credentials and certificates, whose files are read now. Raises `PrometheusError` if that fails.
    timeout: seconds for each response, of queries that take longer than those of a page.
    max_bytes: largest response.
    """

    def __init__(
        self,
        url: str,
        install: str,
        settings: PrometheusConfig | None = None,
        *,
        timeout: float | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._url, self._max_bytes = url.rstrip("/"), max_bytes
        self._install = install
        self._silence_timeout, self._response_timeout = timeout or SILENCE_TIMEOUT, timeout or RESPONSE_TIMEOUT
        self._headers = {"Accept": "application/json"}
        # Redirects could lead a request, and its credentials, to any address.
        handlers: list[Any] = [urllib.request.ProxyHandler({}), _NoRedirect]
        if settings is not None:
            self._headers |= _authorization(settings)
            if settings.ca_file is not None:
                handlers.append(urllib.request.HTTPSHandler(context=_trusting(settings.ca_file)))
        self._opener = urllib.request.build_opener(*handlers)

    def alerts(self) -> tuple[AlertView, ...]:
        """Return the firing alerts, the most severe first. Raises `PrometheusError`."""
        found = self._decode(self._request("/api/v1/alerts", None), _AlertsResponse).data.alerts
        firing = [each for each in found if each.state == "firing" and self._is_shown(each.labels)]
        views = sorted((_alert(each) for each in firing), key=_severity)
        return tuple(views[:MAX_ALERTS])

    def _is_shown(self, labels: Mapping[str, str]) -> bool:
        """Return whether an alert is one of this install, and not that of a drill, which means nothing."""
        return labels.get("install") == self._install and labels.get("alertname") != ALERT

    def drill_fires(self, drill: str) -> bool:
        """Return whether the alert of the drill with this id fires. Raises `PrometheusError`."""
        matchers = f'alertname="{ALERT}", alertstate="firing", install="{self._install}", {LABEL}="{drill}"'
        return any(True for _ in self.query(f"ALERTS{{{matchers}}}"))

    def conditions(self) -> dict[str, tuple[LocationView, ...]]:
        """Return what each location says of each relay. Raises `PrometheusError`."""
        found: dict[str, list[LocationView]] = {}
        query = f'max by (relay, location, state) (relay_state{{install="{self._install}"}}) == 1'
        for labels, _ in self.query(query):
            if (state := labels.get("state")) in _CONDITIONS:
                view = LocationView(location=_text(labels, "location"), condition=_CONDITIONS[state])
                found.setdefault(_text(labels, "relay"), []).append(view)
        return {relay: tuple(sorted(views, key=lambda view: view.location)) for relay, views in found.items()}

    def events(self, window: float, scrape_interval: float) -> dict[tuple[str, str], SloEvents]:
        """Return the events of a window in seconds, by relay and SLO. Raises `PrometheusError`."""
        series = f'relay_slo_events_total{{install="{self._install}"}}[{show_duration(window)}]'
        found: dict[tuple[str, str], dict[str, float]] = {}
        for labels, value in self.query(f"sum by (relay, slo, outcome) (increase({series}))"):
            found.setdefault(_key(labels), {})[labels.get("outcome", "")] = value
        samples = self.query(f"max by (relay, slo) (count_over_time({series}))")
        spans = {_key(labels): min(window, value * scrape_interval) for labels, value in samples}
        return {
            key: SloEvents(outcomes.get("good", 0.0), outcomes.get("bad", 0.0), spans.get(key, 0.0))
            for key, outcomes in found.items()
        }

    def query(self, expression: str, at: float | None = None) -> Iterator[tuple[dict[str, str], float]]:
        """Yield labels and value of each series of an instant query; `at` is a Unix time, None for now.

        Raises `PrometheusError`.
        """
        parameters = {} if at is None else {"time": f"{at:.3f}"}
        body = urllib.parse.urlencode({"query": expression, **parameters}).encode()
        for sample in self._decode(self._request("/api/v1/query", body), _VectorResponse).data.result:
            try:
                value = float(sample.value[1])
            except ValueError:
                continue
            if isfinite(value):
                yield sample.metric, value

    def samples(self, selector: str, start: float, end: float) -> list[SampledSeries]:
        """Return the scraped samples of a selector after `start`, up to `end`. Raises `PrometheusError`."""
        window = f"{round((end - start) * 1000)}ms"
        return self._matrix("/api/v1/query", {"query": f"{selector}[{window}]", "time": f"{end:.3f}"})

    def evaluated(self, expression: str, start: float, end: float, step: float) -> list[SampledSeries]:
        """Return the values of an expression at each step from `start` to `end`. Raises `PrometheusError`."""
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._matrix("/api/v1/query_range", {"query": expression, **span})

    def major_version(self) -> int | None:
        """Return the major version of Prometheus, None if the server does not report it. Raises `PrometheusError`."""
        try:
            content = self._request("/api/v1/status/buildinfo", None)
        except NotFoundError:  # other programs that speak its API
            return None
        build = self._decode(content, _BuildResponse).data
        major = build.version.removeprefix("v").partition(".")[0]
        return int(major) if build.application == "Prometheus" and major in _MAJOR_VERSIONS else None

    def _matrix(self, path: str, parameters: Mapping[str, str]) -> list[SampledSeries]:
        body = urllib.parse.urlencode(parameters).encode()
        result: list[SampledSeries] = self._decode(self._request(path, body), _MatrixResponse).data.result
        return result

    def _request(self, path: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(self._url + path, body, self._headers)  # noqa: S310 - WebUrl
        deadline = time.monotonic() + self._response_timeout
        try:
            with self._opener.open(request, timeout=self._silence_timeout) as response:
                return self._content(response, deadline)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, deadline) from None
        except urllib.error.URLError as error:
            raise PrometheusError(_why(error.reason)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PrometheusError(_why(error)) from None

    def _content(self, response: Any, deadline: float) -> bytes:
        content = bytearray()
        while chunk := response.read1(1 << 16):
            content += chunk
            if len(content) > self._max_bytes:
                raise TooMuchDataError(f"its response is larger than {self._max_bytes >> 20} MB")
            if time.monotonic() > deadline:
                raise TooMuchDataError(f"its response took longer than {self._response_timeout:.0f} s")
        return bytes(content)

    def _refused(self, response: urllib.error.HTTPError, deadline: float) -> PrometheusError:
        """Return the error of a response that is not of status 200, with Prometheus' own message if it has one."""
        try:
            why = msgspec.json.decode(self._content(response, deadline), type=_ErrorResponse).error
        except (PrometheusError, msgspec.DecodeError, RecursionError, OSError, http.client.HTTPException, ValueError):
            why = ""
        hint = "; prometheus.username or bearer_token_file names credentials" if response.code == UNAUTHORIZED else ""
        too_much = response.code == _TOO_SLOW or (
            response.code == _NOT_EVALUATED and any(words in why for words in _TOO_MUCH)
        )
        kind = TooMuchDataError if too_much else NotFoundError if response.code == _NOT_FOUND else PrometheusError
        return kind(f"status {response.code}" + (f": {printable(why[:MAX_TEXT])}" if why else "") + hint)

    def _decode(self, content: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, RecursionError):
            raise PrometheusError("its response is not that of Prometheus") from None


def _authorization(settings: PrometheusConfig) -> dict[str, str]:
    """Return the header with the credentials, if there are any. Raises `PrometheusError`."""
    try:
        if settings.bearer_token_file is not None:
            token = reveal(settings.bearer_token_file)
            if not token.isascii():
                raise PrometheusError(f"the token in {settings.bearer_token_file} has other characters than ASCII")
            return {"Authorization": f"Bearer {token}"}
        if settings.username is not None and settings.password_file is not None:
            user = f"{settings.username}:{reveal(settings.password_file)}"
            return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
    except StartupError as error:
        raise PrometheusError(str(error)) from None
    return {}


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Return the settings of TLS that trust the certificates in a file only. Raises `PrometheusError`."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise PrometheusError(f"the certificates in {ca_file} cannot be read: {_why(error)}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect: the response with status 3xx is the result."""


_CONDITIONS: Final = {each.value: each for each in Condition}


def _alert(alert: _Alert) -> AlertView:
    labels = alert.labels
    try:
        since = datetime.fromisoformat(alert.activeAt).astimezone(UTC)
    except (ValueError, OverflowError):
        since = None
    return AlertView(
        name=_text(labels, "alertname"),
        severity=_text(labels, "severity"),
        relay=_text(labels, "relay") or None,
        location=_text(labels, "location") or None,
        since=since,
        summary=_text(alert.annotations, "summary"),
    )


def _severity(alert: AlertView) -> tuple[int, str, str]:
    known = alert.severity in _SEVERITIES
    return (_SEVERITIES.index(alert.severity) if known else len(_SEVERITIES), alert.name, alert.relay or "")


def _key(labels: Mapping[str, str]) -> tuple[str, str]:
    return _text(labels, "relay"), _text(labels, "slo")


def _text(labels: Mapping[str, str], name: str) -> str:
    return labels.get(name, "")[:MAX_TEXT]


def _why(error: object) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:MAX_TEXT]
