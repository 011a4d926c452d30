"""Label matchers: what `check` accepts, Prometheus accepts."""

from __future__ import annotations

import random
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor.config.selectors import check_selector
from tests.e2e.programs import PROMTOOL, find
from tests.slo.rules.promtool import promtool_3

if TYPE_CHECKING:
    from pathlib import Path

GOOD = [
    'job="centrifugo"',
    'job = "centrifugo" , cluster!="eu"',
    'job=~"centrifugo|relay-[0-9]+"',
    'job=~"centrifugo",',
    'job=~"a\\\\.b"',
    'job="a\\"b\\u00e9"',
    'job=~"(?i)centrifugo"',
    'job=~"(?:a|b){2,3}"',
    'job=~"(?P<name>a)"',
    'job=~"(a{10}){50}"',
    'job=~"[.*+?]+"',
    'job!~""',
    'job="[("',
]
BAD = {
    'job=~"centrifugo("': "invalid regular expression",
    'job=~"*"': "invalid regular expression",
    'job=~"[b-a]"': "invalid regular expression",
    'job=~"a(?=b)"': r"\(\?, which RE2",
    'job=~"a(?<!b)"': r"\(\?, which RE2",
    'job=~"(a)\\\\1"': r"\\1, which RE2",
    'job=~"a++"': r"\+\+, which RE2",
    'job=~"a{1001}"': "more than 1000 repetitions",
    'job=~"(a{100}){100}"': "more than 1000 repetitions",
    'job=~"a\\.b"': "escape",
    'job="\\ud800"': "escape",
    'job="\\400"': "escape",
    'job="a\nb"': "not a PromQL selector",
    "job='x'": "not a PromQL selector",
    'job="x"}': "not a PromQL selector",
    'job="x",,': "not a PromQL selector",
    ',job="x"': "not a PromQL selector",
    "": "not a PromQL selector",
    'job="{{ x }}"': "starts a template",
    'job="\\x7b\\x7b"': "starts a template",
}
PIECES = [
    "a",
    "b",
    ".",
    "*",
    "+",
    "?",
    "(",
    ")",
    "[",
    "]",
    "[^",
    "|",
    "{2}",
    "{,3}",
    "{2,}",
    "{600}",
    "^",
    "$",
    "(?:",
    "(?i)",
]
PIECES += [
    "\\\\.",
    "\\\\d",
    "\\\\b",
    "\\\\1",
    "\\\\Z",
    "\\\\pN",
    "\\\\",
    "\\n",
    "\\.",
    "\\x41",
    "(?=",
    "(?P<n>",
    "(?<n>",
    "-",
    "é",
]


def accepted(selector: str) -> bool:
    try:
        check_selector(selector)
    except ValueError:
        return False
    return True


def refused_by(program: str, selectors: list[str], folder: Path) -> list[str]:
    """The selectors that Prometheus refuses."""
    rules = [{"record": f"r{number}", "expr": f"up{{{text}}}"} for number, text in enumerate(selectors)]
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}, allow_unicode=True), "utf-8")
    done = subprocess.run(
        [program, "check", "rules", "--lint=none", path], capture_output=True, text=True, timeout=60, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0 or re.search(r"rule \d+", output), output
    return [selectors[int(number) - 1] for number in re.findall(r"rule (\d+), ", output)]


@pytest.mark.parametrize("selector", GOOD)
def test_a_good_selector_is_accepted(selector: str) -> None:
    check_selector(selector)


@pytest.mark.parametrize("selector", BAD)
def test_a_bad_selector_is_refused_with_the_reason(selector: str) -> None:
    with pytest.raises(ValueError, match=BAD[selector]):
        check_selector(selector)


def made_up(number: int) -> list[str]:
    """Selectors of random pieces, of which some are valid."""
    rng = random.Random(17)
    return [f'job=~"{"".join(rng.choices(PIECES, k=rng.randint(1, 7)))}"' for _ in range(number)]


@pytest.mark.required_counterpart("promtool")
def test_prometheus_2_accepts_what_check_accepts(tmp_path: Path) -> None:
    selectors = [*GOOD, *filter(accepted, made_up(4000))]
    assert len(selectors) > 300
    assert refused_by(str(find(PROMTOOL)), selectors, tmp_path) == []


@pytest.mark.integration
def test_prometheus_3_accepts_what_check_accepts(tmp_path: Path) -> None:
    selectors = [*GOOD, *filter(accepted, made_up(4000))]
    assert refused_by(promtool_3(), selectors, tmp_path) == []
