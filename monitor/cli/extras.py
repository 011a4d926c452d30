"""Extras: the optional packages that some commands need."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Literal

from monitor.errors import StartupError

Extra = Literal["generate", "load", "simulate"]

MODULES: Final[dict[Extra, tuple[str, ...]]] = {
    "generate": ("grafana_foundation_sdk",),
    "load": ("hdrh",),
    "simulate": ("matplotlib", "numpy"),
}
"""Modules of each extra in `pyproject.toml`."""


def require(extra: Extra) -> None:
    """Check that an extra is installed, without importing it. Raises `StartupError`, which names what to install."""
    if missing := [name for name in MODULES[extra] if find_spec(name) is None]:
        raise StartupError(
            f"this command needs {' and '.join(missing)}; install with: pip install 'relay-monitor[{extra}]'"
        )
