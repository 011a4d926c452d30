"""Relays that answer with HTML, escape sequences, directions of text, and a megabyte of words."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.browser.daemon import Daemon, relay
from tests.hostile.test_hostile import large
from tests.relay.harness import TEXT, accepting, closing, read_frame, read_request, responding, upgrading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.relays import Relays
    from tests.relay.harness import Reader, Script, Writer

MARK: Final = "kestrel"
"""A word of every answer: where it appears, a relay's words are shown."""

HTML: Final = (
    f"{MARK}</title></code></a></details><script>window.pwned=1</script>"
    "<img src=//evil.example/x onerror=window.pwned=1>"
)
ESCAPES: Final = f"{MARK}\x1b[2J\x1b[31m\x1b]0;owned\x07\x9b2J\r\nforged line \u202ereversed\u2066\u200b"


def answering(message: str) -> Script:
    """Return a script that upgrades and answers the first command with an error that says `message`."""

    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)))
        _, command = await read_frame(reader)
        reply = {"id": json.loads(command.splitlines()[0])["id"], "error": {"code": 100, "message": message}}
        writer.write(large(TEXT, json.dumps(reply, ensure_ascii=False).encode()))
        while True:
            await read_frame(reader)

    return script


LONG_NAME: Final = f"html-close-{'w' * 52}"
"""As long as a relay's name can be, and one long word: it must fit on a phone."""

SCRIPTS: Final[dict[str, Script]] = {
    "html-status": responding(f"HTTP/1.1 502 {HTML}\r\nContent-Type: text/html\r\n\r\n{HTML}".encode()),
    "html-error": answering(HTML),
    LONG_NAME: upgrading(closing(3500, HTML[:120])),
    "escaped-error": answering(ESCAPES),
    "escaped-close": upgrading(closing(3501, ESCAPES[:60])),
    "escaped-status": responding(b"HTTP/1.1 503 " + ESCAPES.replace("\r\n", "").encode() + b"\r\n\r\n"),
    "megabyte": answering(f"{HTML} {'A' * ((1 << 20) - 400)}"),
}


@dataclass(frozen=True, slots=True)
class Hostile:
    """The daemon that watches these relays."""

    daemon: Daemon

    @classmethod
    @contextlib.contextmanager
    def started(cls, folder: Path, relays: Relays) -> Iterator[Hostile]:
        """Start the relays and the daemon, and wait until it has found all of them down."""
        config = {
            "relays": [relay(name, relays.serve(script)) for name, script in SCRIPTS.items()],
            "probes": [
                {"name": "steady", "scenario": "steady-messaging", "pairs": 1, "message_interval": "1s"},
                {
                    "name": "session",
                    "scenario": "realistic-session",
                    "schedule": {"every": "10s"},
                    "messages": 1,
                    "timeout": "2s",
                },
            ],
        }
        with Daemon(folder / "hostile", config, log_format="console") as daemon:
            daemon.until_conditions(dict.fromkeys(SCRIPTS, "down"))
            yield cls(daemon)
