"""Every snippet of a configuration file is accepted by the program that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import SNIPPETS, Block, pages, read_blocks
from tests.docs.snippets import Kind, SnippetError, check, check_queries, kind_of, write_into

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.required_counterpart("promtool, systemd-analyze")]

ALL = [block for path in pages() for block in read_blocks(path) if block.language in SNIPPETS]
QUERIES = [block for block in ALL if block.language == "promql"]
FILES = [block for block in ALL if block.language != "promql"]


@pytest.mark.parametrize("block", FILES, ids=lambda block: block.where)
def test_a_snippet_is_accepted(block: Block, tmp_path: Path) -> None:
    check(block, tmp_path)


def test_every_query_is_one(tmp_path: Path) -> None:
    assert check_queries(QUERIES, tmp_path) > 100


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("yaml", "slos:\n  - {name: x, probe: steady, sli: latency, treshold: 1s, objective: 99%}\n", "treshold"),
        ("yaml", "basic_auth_users: {ops: secret}\n", "not a bcrypt hash"),
        ("yaml", "scrape_configs: [{jobname: x}]\n", "jobname"),
        ("yaml", "route: {receiver: nobody}\n", "nobody"),
        ("yaml", "serviceMonitor: {enable: true}\n", "enable"),
        ("yaml", "apiVersion: 1\ndatasources: [{name: x, kind: prometheus}]\n", r"datasources\[\]\.kind"),
        ("ini", "[Service]\nLoadCredentials=client.key:/etc/client.key\n", "LoadCredentials"),
        ("promql", "sum(rate(x[5m]) by (relay)\n", "queries.yml"),
        ("yaml", "services: {}\n", "no program is known that reads services"),
    ],
)
def test_a_wrong_snippet_is_not(language: str, text: str, why: str, tmp_path: Path) -> None:
    block = Block(page="docs/page.md", line=1, language=language, text=text)
    with pytest.raises((SnippetError, ValueError), match=why):
        check(block, tmp_path)


def test_the_kinds_that_the_documentation_has() -> None:
    assert {kind_of(block) for block in ALL} >= set(Kind) - {Kind.ALERTMANAGER}


def test_a_snippet_replaces_keys_of_a_configuration() -> None:
    written = write_into("a: 1\nb: {c: 2, d: 3}\n", "b: {d: 4}\ne: 5\n")
    assert written == "a: 1\nb:\n  c: 2\n  d: 4\ne: 5\n"
