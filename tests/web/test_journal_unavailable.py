"""What is served while the journal does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import JournalUnavailableError
from monitor.journal import Journal
from tests.web.site import client

if TYPE_CHECKING:
    from collections.abc import Callable


class HangingJournal(Journal):
    async def read(self, query: Callable[[], Any], timeout: float = 0) -> Any:  # noqa: ARG002 - of the base class
        raise JournalUnavailableError("the journal did not answer within 2 s")


@pytest.mark.parametrize("path", ["runs", "runs/x", "incidents", "incidents/x"])
async def test_the_api_says_so(path: str) -> None:
    async with client(journal=HangingJournal()) as web:
        response = await web.get(f"/api/v1/{path}")
    assert (response.status_code, response.json()) == (503, {"error": "the journal did not answer within 2 s"})


@pytest.mark.parametrize("path", ["", "api/v1/status", "-/healthy", "-/ready"])
async def test_what_does_not_need_it_is_served(path: str) -> None:
    async with client(journal=HangingJournal()) as web:
        assert (await web.get(f"/{path}")).status_code == 200


async def test_the_page_of_a_run_says_so() -> None:
    async with client(journal=HangingJournal()) as web:
        response = await web.get("/runs/x", headers={"Accept": "text/html"})
    assert response.status_code == 503
    assert "<h1>the journal did not answer within 2 s</h1>" in response.text
    assert '<a href="/">All relays</a>' in response.text
