"""What steps, reasons and findings mean, and what to look at first: the text of `/faults` and of docs/faults.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ReasonMeaning:
    """What a reason means, and what to look at first."""

    means: str
    look_first: str


@dataclass(frozen=True, slots=True)
class Meanings:
    """The texts, in Markdown's inline code, by the values of `Step`, `Finding` and `Reason`."""

    steps: Mapping[str, str]
    findings: Mapping[str, str]
    reasons: Mapping[str, ReasonMeaning]


@cache
def meanings() -> Meanings:
    """Return all texts. The first call reads a file of the package."""
    texts = yaml.safe_load(files("monitor.web").joinpath("meanings.yaml").read_text("utf-8"))
    reasons = {name: ReasonMeaning(text["means"], text["look"]) for name, text in texts["reasons"].items()}
    return Meanings(texts["steps"], texts["findings"], reasons)
