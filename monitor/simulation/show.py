"""Times as text."""

from __future__ import annotations

import math
from typing import Final

_UNITS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def show_time(seconds: float) -> str:
    """Return seconds as text with a unit that suits them."""
    if math.isinf(seconds):
        return "never"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
