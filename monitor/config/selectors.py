r"""PromQL label matchers as text: what Prometheus accepts between the braces of a selector.

Prometheus reads a value as a Go string and a regular expression as RE2, which has no backtracking and so no lookaround
and no backreferences. It rejects a whole rule file for one wrong value, so the check is on the strict side: an
expression that only RE2 understands (`\pN`, `\z`, `\Q…\E`) is refused too.
"""

from __future__ import annotations

import re
import warnings
from typing import Final

MAX_REPETITIONS: Final = 1000
"""The largest number of repetitions in RE2, nested ones multiplied."""

_MATCHER: Final = re.compile(r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\[^\n])*)"\s*(,|$)', re.ASCII)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.ASCII | re.DOTALL
)
_CONTROL: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_BYTE: Final = 0xFF
_SURROGATES: Final = range(0xD800, 0xE000)
_MAX_CODE_POINT: Final = 0x10FFFF
# What Python's expressions have and RE2 has not. The groups of RE2 are (…), (?:…), (?P<name>…) and those with flags.
_ONLY_PYTHON: Final = re.compile(r"\(\?(?!:|P<|[ims-]+[:)])|[*+?}]\+|[*+?}]\?[*+?{]|[*+?}][*{]")
_ONLY_PYTHON_ESCAPE: Final = re.compile(r"\\[1-9Z]|\\[^\x00-\x7f]")
_REPETITION: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
_UNESCAPED: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])(?:\\.|[^\]\\])*\]", re.DOTALL)


def check_selector(text: str) -> None:
    """Check label matchers, such as `job="centrifugo"`, that stand without their braces. Raises `ValueError`."""
    position = 0
    comma = ","
    while comma == ",":
        matched = _MATCHER.match(text, position)
        if matched is None:
            raise ValueError('is not a PromQL selector without its braces; expected one such as job="centrifugo"')
        operator, value, comma = matched.groups()
        _check_value(operator, value)
        position = matched.end()
        if comma == "," and not text[position:].strip():
            return  # Prometheus allows a comma at the end


def _check_value(operator: str, quoted: str) -> None:
    value = _ESCAPE.sub(_unescaped, quoted)
    if "{{" in value:
        raise ValueError("contains {{, which starts a template in Grafana and Prometheus; expected plain text")
    if operator in {"=~", "!~"}:
        _check_regex(value)


def _unescaped(match: re.Match[str]) -> str:
    control, octal, byte, short, long, other = match.groups()
    if control is not None:
        return _CONTROL.get(control, control)
    code = int(octal, 8) if octal else int(byte or short or long or "0", 16)
    is_valid = code <= _MAX_BYTE if octal else code <= _MAX_CODE_POINT and code not in _SURROGATES
    if other is not None or not is_valid:
        raise ValueError(f"has the escape {match[0]}, which PromQL does not know; write two backslashes for one")
    return chr(code)


def _check_regex(text: str) -> None:
    """Check that Prometheus accepts a regular expression. Raises `ValueError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read in another way
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"has the invalid regular expression {text!r}: {error}") from None
    escape = next((found[0] for found in _ESCAPED.finditer(text) if _ONLY_PYTHON_ESCAPE.fullmatch(found[0])), None)
    plain = _UNESCAPED.sub("x", text)
    wrong = escape or next((found[0] for found in _ONLY_PYTHON.finditer(plain)), None)
    if wrong is not None:
        raise ValueError(f"has a regular expression with {wrong}, which RE2 in Prometheus does not have")
    if _repetitions(plain) > MAX_REPETITIONS:
        raise ValueError(
            f"has a regular expression with more than {MAX_REPETITIONS} repetitions, nested ones multiplied"
        )


def _repetitions(text: str) -> int:
    """The largest product of nested repetitions; `text` has no escapes and no sets."""
    largest = [1]  # of the open groups, the outermost first
    last = 1  # of the item before the present position
    position = 0
    while position < len(text):
        repeated = _REPETITION.match(text, position)
        if repeated is not None and any(repeated.groups()):
            last *= max(int(number) for number in repeated.groups() if number)
            position = repeated.end() - 1
        elif text[position] == "(":
            largest.append(1)
            last = 1
        elif text[position] == ")" and len(largest) > 1:
            last = largest.pop()
        else:
            last = 1
        largest[-1] = max(largest[-1], last)
        position += 1
    return max(largest)
