"""The evaluator on single expressions; whole rules are compared with promtool in `test_ruler`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monitor.simulation.promql import Evaluator, PromqlError, Series, Store, labels

AT = np.arange(0.0, 600.0, 60.0)


def series(name: str, *values: float, **of: str) -> Series:
    times = np.arange(len(values), dtype=np.float64) * 60.0
    return Series(name, labels(**of), times, np.array(values))


STORE = Store(
    [
        series("up", 1, 1, 0, 0, 1, np.nan, np.nan, 1, 1, 1, relay="a", location="x"),
        series("up", *[1] * 10, relay="a", location="y"),
        series("up", *[0] * 10, relay="b", location="x"),
        series("info", *[1] * 10, relay="a", severity="critical", wait="30s"),
        series("info", *[1] * 10, relay="b", severity="warning", wait="1m"),
        series("total", *range(10), relay="a"),
        series("reset", 0, 5, 10, 2, 4, 6, 8, 10, 12, 14, relay="a"),
    ]
)


def evaluate(expr: str) -> dict[str, list[Any]]:
    """Return each label set, as text, with its values; None where it is not there."""
    return {
        ",".join(f"{name}={value}" for name, value in of if name != "__name__"): [
            None if np.isnan(each) else round(float(each), 6) for each in value
        ]
        for of, value in Evaluator(STORE, AT).vector(expr).items()
    }


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("vector(1) + 2 * 3", {"": [7] * 10}),
        ("count by (relay) (up)", {"relay=a": [2] * 5 + [1, 1] + [2] * 3, "relay=b": [1] * 10}),
        ('up{location="x", relay="a"} == 0', {"location=x,relay=a": [None, None, 0, 0] + [None] * 6}),
        ('up{location="x", relay="a"} == bool 0', {"location=x,relay=a": [0, 0, 1, 1, 0, None, None, 0, 0, 0]}),
        ("min by (relay) (up) == 0", {"relay=a": [None, None, 0, 0] + [None] * 6, "relay=b": [0] * 10}),
        ('info{relay="b"} * on (relay) group_right (severity) up', {"location=x,relay=b,severity=warning": [0] * 10}),
        (
            'up{relay="b"} * on (relay) group_left (severity, wait) info',
            {"location=x,relay=b,severity=warning,wait=1m": [0] * 10},
        ),
        ('label_replace(info{relay="a"}, "s", "is-$1", "severity", "(c.*)")',
            {"relay=a,s=is-critical,severity=critical,wait=30s": [1] * 10}),
        ('changes(up{location="x", relay="a"}[5m])', {"location=x,relay=a": [0, 0, 1, 1, 2, 2, 1, 1, 0, 0]}),
        ("increase(total[5m])", {"relay=a": [None, 1, 2, 3, 4, 5, 5, 5, 5, 5]}),
        ("total offset 2m", {"relay=a": [None, None, *range(8)]}),
        ('absent(up{relay="c"})', {"relay=c": [1] * 10}),
        ("sum(up) > 5", {}),
        ("max_over_time(total[3m]) - min_over_time(total[3m])", {"relay=a": [0, 1] + [2] * 8}),
        ('topk(1, up{location="x"})', {
            "location=x,relay=a": [1, 1, 0, 0, 1, None, None, 1, 1, 1],
            "location=x,relay=b": [None] * 5 + [0, 0] + [None] * 3,
        }),
        ("up unless on (relay) info", {}),
        ('vector(0) or up{relay="b"}', {"": [0] * 10, "location=x,relay=b": [0] * 10}),
        ("time()", {"": [60 * n for n in range(10)]}),
        ("-1 * 2 ", {"": [-2] * 10}),
    ],
)  # fmt: skip
def test_an_expression(expr: str, expected: dict[str, list[Any]]) -> None:
    found = {of: values for of, values in evaluate(expr).items() if any(value is not None for value in values)}
    assert found == expected


def test_a_reset_counts_from_zero() -> None:
    (values,) = evaluate("increase(reset[10m])").values()
    # 14 and the 10 before the reset, extrapolated from 9 minutes to 10, but not to before the counter's zero.
    assert values[-1] == pytest.approx(24, rel=0.01)


@pytest.mark.parametrize(
    "expr", ["up{", "up[5m]", "rate(up)", "nothing(up)", "sum(1)", "1 and 2", "up $ 3", "info * on () up", "(up"]
)
def test_what_is_not_known_is_an_error(expr: str) -> None:
    with pytest.raises(PromqlError):
        evaluate(expr)


@pytest.mark.parametrize(("version", "increase"), [(2, 6.5), (3, 6.0)])
def test_a_counter_that_began_within_the_window_is_extrapolated_as_each_prometheus_does(
    version: int, increase: float
) -> None:
    times, values = np.array([160.0, 220.0]), np.array([2.0, 5.0])
    evaluator = Evaluator(Store([Series("total", (), times, values)]), np.array([300.0]), version=version)
    assert evaluator.vector("increase(total[5m])")[()].tolist() == [increase]
