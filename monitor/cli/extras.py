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


def missing(extra: Extra) -> list[str]:
    """Return the modules of an extra that are not installed, without importing one."""
    return [name for name in MODULES[extra] if find_spec(name) is None]


def require(extra: Extra) -> None:
    """Check that an extra is installed. Raises `StartupError`, which names what to install."""
    if names := missing(extra):
        raise StartupError(
            f"this command needs {' and '.join(names)}; install with: pip install 'relay-monitor[{extra}]'"
        )
