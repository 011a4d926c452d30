"""The HTTP API of Prometheus, as far as a dashboard needs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from types import TracebackType

    from tests.dashboards.time_range import Steps, TimeRange


class QueryError(Exception):
    """Prometheus refused a query."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One series: its labels, times in seconds since the epoch, and values; NaN is None."""

    labels: dict[str, str]
    times: tuple[float, ...]
    values: tuple[float | None, ...]


class Prometheus:
    """A client. As a context manager it is closed at the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def at(self, expr: str, when: float) -> list[Samples]:
        """Return the values of an expression at a time. Raises `QueryError`."""
        return _series(self._data("query", query=expr, time=when))

    def at_each(self, expr: str, steps: Steps) -> list[Samples]:
        """Return the values of an expression at each step. Raises `QueryError`."""
        return _series(self._data("query_range", query=expr, start=steps.start, end=steps.end, step=steps.step))

    def raw(self, selector: str, start: float, end: float) -> list[Samples]:
        """Return the samples that were scraped after `start`, until `end`. Raises `QueryError`."""
        milliseconds = round((end - start) * 1000)
        return _series(self._data("query", query=f"{selector}[{milliseconds}ms]", time=end))

    def label_values(self, selector: str, label: str, times: TimeRange) -> list[str]:
        """Return the values of a label in the range, sorted. Raises `QueryError`."""
        found = self._data(f"label/{label}/values", **{"match[]": selector}, start=times.start, end=times.end)
        return sorted(found, key=str.casefold)

    def exemplars(self, expr: str, times: TimeRange) -> list[tuple[float, float]]:
        """Return time and value of the exemplars of an expression's series. Raises `QueryError`."""
        found = self._data("query_exemplars", query=expr, start=times.start, end=times.end)
        return [(float(item["timestamp"]), float(item["value"])) for series in found for item in series["exemplars"]]

    def _data(self, path: str, **parameters: Any) -> Any:
        response = self._client.get(f"/api/v1/{path}", params=parameters)
        response = response.json()
        if response["status"] != "success":
            raise QueryError(response["error"])
        return response["data"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _series(data: Any) -> list[Samples]:
    results = [{"metric": {}, "value": data["result"]}] if data["resultType"] == "scalar" else data["result"]
    made = []
    for result in results:
        points = [result["value"]] if "value" in result else result["values"]
        made.append(
            Samples(result["metric"], tuple(float(at) for at, _ in points), tuple(_number(text) for _, text in points))
        )
    return made


def _number(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value
