"""The tests' PromQL reader finds every selector and label."""

from tests.slo.dashboards.promql import Selector, listed, selectors

EXPR = (
    'histogram_quantile(0.9, sum by (le, relay) (rate(a_bucket{job=~"$job", x!="a}b,c"}[$__rate_interval])))'
    " / on (job) group_left b_total offset 5m or 0 * max(c:d:e) - time()"
)


def test_every_selector_is_found_with_its_functions() -> None:
    assert list(selectors(EXPR)) == [
        Selector(
            "a_bucket",
            (("job", "=~", "$job"), ("x", "!=", "a}b,c")),
            "$__rate_interval",
            ("histogram_quantile", "sum", "rate"),
        ),
        Selector("b_total", (), None, ()),
        Selector("c:d:e", (), None, ("max",)),
    ]


def test_every_grouping_label_is_found() -> None:
    assert listed(EXPR) == {"le", "relay", "job"}
