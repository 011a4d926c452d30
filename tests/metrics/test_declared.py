from __future__ import annotations

import re

from monitor.metrics.declared import DECLARED


def test_names_follow_the_conventions_of_prometheus() -> None:
    for item in DECLARED:
        assert re.fullmatch(r"relay_[a-z_]+", item.name)
        assert (item.kind == "counter") == item.name.endswith("_total"), item.name
        assert item.kind != "histogram" or item.name.endswith("_seconds"), item.name


def test_every_name_is_declared_once() -> None:
    assert len({item.name for item in DECLARED}) == len(DECLARED)


def test_every_series_has_the_labels_install_and_location_first() -> None:
    assert {item.labels[:2] for item in DECLARED} == {("install", "location")}
