"""One word for one thing: no identifier, file name or log event is a retired word.

A retired word was a metaphor or had several meanings. It may still be part of prose and of longer names.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FOLDERS = ("monitor", "tests", "bench", "fuzz")
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}

RETIRED = {
    "access": "endpoint provider, auth",
    "account": "delivery tracker, record_uptime",
    "ahead": "acquire_ahead",
    "allow": "limit",
    "answer": "reply, response",
    "aside": "run_in_thread",
    "ask": "request, check",
    "autopsy": "diagnosis",
    "bare": "bare_connection",
    "beat": "interval",
    "bench": "probe context",
    "booking": "result pipeline",
    "breath": "interval",
    "bring": "flush",
    "burn": "burn rate, burn condition",
    "calm": "idle",
    "clean": "redact",
    "cleaned": "redacted",
    "conduct": "load_runner",
    "crossed": "delivered",
    "crosses": "is delivered",
    "crossing": "delivery",
    "deed": "step",
    "discretion": "redaction",
    "distrust": "unhealthy_reasons",
    "door": "acceptor, disconnect pacer",
    "doubt": "a named state",
    "end": "participant, peer",
    "feed": "receive",
    "feel_pulse": "check_loop_lag",
    "fleet": "monitored relays",
    "flowing": "partially_received",
    "form": "format, serialize",
    "fresh": "new-pair attempt",
    "grace": "the noun that it bounds",
    "guest": "relay admission",
    "heed": "handle",
    "heeded": "handled",
    "held": "persistent, opened",
    "holding": "persistent, idle",
    "lasts": "duration",
    "late": "deadline_error",
    "leg": "in-flight message",
    "legs": "in-flight messages",
    "let_in": "authenticate, accept",
    "live": "snapshot",
    "longest": "the noun that it bounds",
    "look": "check interval",
    "machine": "host",
    "manner": "frame_fault",
    "max_waiting": "the noun that it bounds",
    "mend": "recover",
    "mending": "recovery probing",
    "mends": "recovers",
    "misbehaviour": "injected fault",
    "moment": "time",
    "notebook": "run recorder",
    "obstacle": "probe error",
    "once_more": "resend",
    "ours": "is_local_fault",
    "out_of_order": "loopback_failed",
    "over": "via, terminated",
    "ownfault": "local error",
    "patience": "the noun that it bounds",
    "place": "probe key, path, position",
    "play": "run_scenario",
    "presence": "uptime",
    "pulse": "the noun that it bounds",
    "queued": "awaiting_permit",
    "rank": "priority",
    "rare": "infrequent",
    "rarity": "interval",
    "rest": "suspend, remainder",
    "roster": "probe supervisor",
    "scene": "load context, setup",
    "settle": "warm-up, judge",
    "settled": "resolved",
    "shape": "schema",
    "shapes": "introspection, schemas",
    "signs": "unhealthy_reasons",
    "spacing": "the noun that it bounds",
    "spare": "headroom",
    "spell": "period",
    "stage": "step",
    "standing": "persistent",
    "steady": "continuous",
    "stirred": "needs_flush",
    "suspect": "mark_unhealthy",
    "take": "accept, acquire, consume",
    "tally": "statistics",
    "tell": "report",
    "telling": "report",
    "tells": "reports",
    "term": "generation",
    "terms": "connect priority, server security, relay settings",
    "together": "wait_for_both, merge",
    "told": "reported, printed",
    "tried": "attempt",
    "trouble": "on_error",
    "trust": "healthy",
    "turn": "endpoint index",
    "turns": "rounds",
    "verbatim": "raw_json",
    "ward": "participant observer",
    "watched": "monitored relay",
    "whole": "ready, complete",
}
"""Word → what to use instead."""

ALLOWED = {
    ("monitor/config/probe.py", "settle"): "key of the configuration",
    ("monitor/scenarios.py", "settle"): "key of the configuration",
    ("monitor/load/result.py", "machine"): "field of the result file",
    ("monitor/load/compare.py", "rank"): "rank of an order statistic",
    ("monitor/load/sketch.py", "rank"): "rank of an order statistic",
    ("monitor/pairs/ledger.py", "live"): "a live publication, not one from the history",
    ("monitor/pairs/observer.py", "live"): "a live publication, not one from the history",
    ("monitor/pairs/participant.py", "live"): "a live publication, not one from the history",
    ("monitor/pairs/tracker.py", "live"): "a live publication, not one from the history",
    ("monitor/vocabulary.py", "answer"): "value of a step",
    ("monitor/vocabulary.py", "late"): "value of a verdict",
    ("monitor/wire/commands.py", "presence"): "command of the Centrifuge protocol",
    ("monitor/embedded/session.py", "presence"): "command of the Centrifuge protocol",
    ("tests/faults/table.py", "late"): "value of a verdict",
    ("tests/pairs/test_ledger.py", "live"): "a live publication, not one from the history",
}
"""File and word → why it is the right word there."""

INTERVAL = {"start", "end"}
"""`end` is the right word beside `start`."""


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each name that a module defines, and each log event, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno
            case ast.Call(func=ast.Attribute(attr=method), args=[ast.Constant(value=str(event)), *_]):
                if method in LOG_METHODS:
                    yield event, node.lineno
            case _:
                pass


def retired_words(path: Path) -> Iterator[str]:
    """Yield a message for each retired word in a module or its name."""
    file = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text("utf-8"))
    found = [
        (name, name.strip("_").lower(), line) for name, line in [(path.stem.removeprefix("test_"), 1), *names(tree)]
    ]
    allowed = INTERVAL if {word for _, word, _ in found} >= INTERVAL else set()
    for name, word, line in found:
        if word in RETIRED and word not in allowed and (file, word) not in ALLOWED:
            yield f"{file}:{line}: {name}: use {RETIRED[word]}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_a_retired_word(folder: str) -> None:
    assert [message for path in sorted((ROOT / folder).rglob("*.py")) for message in retired_words(path)] == []


def test_every_exception_is_needed() -> None:
    used = {
        (file, name.strip("_").lower())
        for file, _ in ALLOWED
        for name, _ in names(ast.parse((ROOT / file).read_text("utf-8")))
    }
    assert ALLOWED.keys() - used == set()


def test_a_retired_word_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_words.ROOT", tmp_path)
    module = tmp_path / "test_ward.py"
    module.write_text("class Door: pass\ndef f(leg): _log.info('told')\nfor moment in (): pass\n")
    assert [message.split(": ")[0:2] for message in retired_words(module)] == [
        ["test_ward.py:1", "ward"],
        ["test_ward.py:1", "Door"],
        ["test_ward.py:3", "moment"],
        ["test_ward.py:2", "leg"],
        ["test_ward.py:2", "told"],
    ]
