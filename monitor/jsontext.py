"""JSON texts read and written fast, without what json does around each value.

What programs write has nothing around the value, and to look for it costs as much as to parse; and json's encoder sets
itself up anew for each value. Each message is read this way three times over (its frame, its envelope, what was
encrypted) and written once.
"""

from __future__ import annotations

import json.encoder
from json import JSONDecoder, JSONEncoder
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


def writer() -> Callable[[Any], str]:
    """A `json.dumps` without spaces, text as it is; of what holds itself it raises RecursionError."""
    encoder = JSONEncoder(separators=(",", ":"), ensure_ascii=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the accelerator
        return encoder.encode
    # As JSONEncoder.iterencode makes it for each value.
    pieces = make(
        markers=None,
        default=encoder.default,
        encoder=json.encoder.encode_basestring,
        indent=None,
        key_separator=":",
        item_separator=",",
        sort_keys=False,
        skipkeys=False,
        allow_nan=True,
    )
    return lambda value: "".join(pieces(value, 0))
