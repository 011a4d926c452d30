"""The uid of a generated dashboard, which its links contain: one of each install in one Grafana."""

from __future__ import annotations

import zlib
from typing import Final

MAX_LENGTH: Final = 40
"""Longest uid that Grafana accepts."""

DEFAULT_INSTALL: Final = "default"


def dashboard_uid(name: str, install: str) -> str:
    """Return the uid of the dashboard `name` of an install; that of the default install has no suffix."""
    if install == DEFAULT_INSTALL:
        return name
    uid = f"{name}-{install.replace('.', '_')}"  # a uid has no dot
    if len(uid) <= MAX_LENGTH:
        return uid
    # Two long names that begin alike need two uids.
    digest = f"{zlib.crc32(install.encode()):08x}"
    return f"{uid[: MAX_LENGTH - len(digest) - 1]}-{digest}"
