"""The query parameters of the API: each is checked, and an unknown one is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request


class Parameters:
    """The query parameters of a request, of which `known` are allowed. All raise `HTTPException` for what is not."""

    def __init__(self, request: Request, *known: str) -> None:
        query = self._query = request.query_params
        if unknown := sorted(set(query) - set(known)):
            expected = f"{', '.join(known[:-1])} or {known[-1]}"
            raise HTTPException(400, f"unknown parameter {unknown[0][:40]!r}; expected {expected}")
        if len(query.multi_items()) > len(query):
            raise HTTPException(400, "a parameter is given twice")

    def text(self, name: str) -> str | None:
        """Return a parameter as it is, None without it."""
        return self._query.get(name)

    def one_of(self, name: str, values: Collection[str]) -> str | None:
        """Return a parameter that must be one of `values`, None without it."""
        value = self._query.get(name)
        if value is not None and value not in values:
            raise HTTPException(400, f"{name} {value[:40]!r} is not one of {', '.join(values)}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a parameter that must be true or false, None without it."""
        value = self.one_of(name, ("true", "false"))
        return None if value is None else value == "true"

    def number(self, name: str, default: int, maximum: int) -> int:
        """Return a parameter that must be a number from 1 to `maximum`."""
        value = self._query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= maximum:
            raise HTTPException(400, f"{name} {value[:40]!r} must be 1–{maximum}")
        return int(value)

    def time(self, name: str) -> datetime | None:
        """Return a parameter that must be a time with its zone (RFC 3339), None without it."""
        value = self._query.get(name)
        if value is None:
            return None
        try:
            time = datetime.fromisoformat(value)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise HTTPException(400, f"{name} {value[:40]!r} is not a time such as 2024-05-01T12:00:00Z")
