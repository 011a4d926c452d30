from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from monitor.logs import REPETITIONS, configure


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_lines_are_on_stderr_with_level_and_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    structlog.get_logger().info("relay is up", relay="demo")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["relay"]) == ("relay is up", "info", "demo")
    assert line["timestamp"].endswith("Z")


def test_events_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("anyone").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_a_bound_run_id_is_on_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    with structlog.contextvars.bound_contextvars(run_id="018f"):
        structlog.get_logger().info("inside")
        logging.getLogger("library").info("inside as well")
    structlog.get_logger().info("outside")
    assert [line.get("run_id") for line in lines(capsys)] == ["018f", "018f", None]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"token": "s3cr3t"},
        {"Authorization": "Bearer s3cr3t"},
        {"relay_token": "s3cr3t"},
        {"headers": {"X-Api-Key": "s3cr3t"}},
        {"request": {"headers": {"X-Api-Key": "s3cr3t"}}},
        {"tries": [{"password": "s3cr3t"}]},
        {"private_key": b"s3cr3t"},
        {"a": {"b": {"c": {"d": {"e": {"f": "s3cr3t"}}}}}},
    ],
)
def test_secrets_are_masked(log_format: str, fields: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format, "info")
    structlog.get_logger().info("connecting", relay="demo", **fields)
    shown = capsys.readouterr().err
    assert "s3cr3t" not in shown
    assert "demo" in shown


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_variables(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format, "info")
    try:
        credential = "s3cr" + "3t"
        _ = 1 // (len(credential) - len(credential))
    except ZeroDivisionError:
        structlog.get_logger().exception("run aborted")
        logging.getLogger("library").exception("likewise")
    shown = capsys.readouterr().err
    assert shown.count("ZeroDivisionError") == 2
    assert "s3cr3t" not in shown


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_control_characters_are_escaped(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format, "info")
    structlog.get_logger().warning("run failed", detail="gone\n2024 [info] relay is up \x1b[2J\x9b2J\r")
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert not {"\x1b", "\x9b", "\r"} & set(shown)


def test_libraries_have_minimum_levels(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "debug")
    logging.getLogger("apscheduler.executors").info("Running job")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("websockets.client").error("connection failed")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert [line["event"] for line in lines(capsys)] == ["Exception in ASGI application"]


def test_configured_twice_each_line_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    configure("json", "info")
    logging.getLogger("library").info("once")
    assert [line["event"] for line in lines(capsys)] == ["once"]


def test_an_unknown_level_raises_an_error() -> None:
    with pytest.raises(KeyError):
        configure("json", "loud")


def test_an_unwritable_stderr_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    configure("json", "info")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    structlog.get_logger().error("relay is down", relay="demo")


@pytest.mark.parametrize(("level", "written"), [("info", 1), ("debug", 3)])
def test_repeated_failures_are_written_once_but_at_debug(
    level: str, written: int, capsys: pytest.CaptureFixture[str]
) -> None:
    REPETITIONS.forget()
    configure("json", level)
    for _ in range(3):
        structlog.get_logger().warning("run failed", relay="demo", step="tcp", reason="refused", repeats=True)
    assert [line["event"] for line in lines(capsys)] == ["run failed"] * written
    REPETITIONS.forget()
