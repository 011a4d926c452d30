"""JSON texts read fast: what programs write has nothing around the value, and to look for it costs as much as to parse.

Each message is read this way three times over: its frame, its envelope, what was encrypted.
"""

from __future__ import annotations

from json import JSONDecoder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def reader(parse_constant: Callable[[str], object] | None = None) -> Callable[[str], Any]:
    """A `json.loads`, whose constants (NaN, Infinity) become what `parse_constant` makes of their names.

    It raises what `json.loads` does, and TypeError for anything but a `str`.
    """
    decoder = JSONDecoder(parse_constant=parse_constant)
    scan = decoder.scan_once  # type: ignore[attr-defined]  # what raw_decode calls; typeshed does not know it

    def read(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except (ValueError, StopIteration):
            end = -1
        return value if end == len(text) else decoder.decode(text)

    return read
