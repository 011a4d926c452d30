from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from monitor.config import Config, SecretFile, parse, reveal
from monitor.errors import StartupError
from tests.config.revealed import headers_of, token_of

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
relays:
  - name: demo
    url: wss://relay.example.com/connection/websocket
    token: ${TOKEN}
    headers:
      dapp: {X-Key: hunter2-header}
      wallet: {X-Key: "${TOKEN}"}
probes: [{name: idle, scenario: steady-state}]
"""


@pytest.fixture
def config() -> Config:
    return parse(TEXT, "config.yaml", {"TOKEN": "hunter2-token"})


def test_secrets_can_be_revealed(config: Config) -> None:
    relay = config.relays[0]
    assert token_of(relay) == "hunter2-token"
    assert headers_of(relay.headers.dapp) == {"X-Key": "hunter2-header"}
    assert headers_of(relay.headers.wallet) == {"X-Key": "hunter2-token"}


def test_no_text_form_of_a_config_shows_a_secret(config: Config) -> None:
    relay = config.relays[0]
    shown = [repr(config), str(config), f"{config}", str(config.model_dump()), config.model_dump_json(), repr(relay)]
    shown += [repr(relay.headers), repr(relay.headers.dapp), repr(relay.token), str(relay.token)]
    assert [text for text in shown if "hunter2" in text] == []


def test_configs_that_differ_in_a_secret_are_different(config: Config) -> None:
    assert parse(TEXT, "config.yaml", {"TOKEN": "hunter2-token"}) == config
    assert parse(TEXT, "config.yaml", {"TOKEN": "another"}) != config


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for content in ("one\n", "two\r\n"):
        path.write_text(content, newline="")
        assert reveal(SecretFile(file=path)) == content.strip()


@pytest.mark.parametrize("content", [b"", b"\n", b"hunter2\nhunter2\n", b"\xffhunter2", b"hunter2" * 10_000])
def test_an_invalid_secret_file_is_named_and_its_content_is_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StartupError) as raised:
        reveal(path)
    assert str(path) in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file or directory"):
        reveal(tmp_path / "token")


@pytest.mark.timeout(10)
def test_a_file_that_became_a_pipe_is_named_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    with pytest.raises(StartupError, match=r"token cannot be read: Is not a regular file$"):
        reveal(tmp_path / "token")
