"""The evaluation of an expression on simulated series, at many times at once.

A vector has an array for each label set, with NaN at the times at which the label set is not there. A value that is NaN
itself is therefore not there either; the generated rules divide by what is above zero only.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import numpy as np

from monitor.simulation.promql.functions import COMPARE, NUMBERS, OPERATIONS, RANGES, Ranges, quantile
from monitor.simulation.promql.parse import (
    SETS,
    Aggregation,
    Binary,
    Call,
    Number,
    PromqlError,
    Selector,
    Text,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from monitor.simulation.promql.parse import Node
    from monitor.simulation.promql.series import Floats, Labels, Series, Store

    Vector: TypeAlias = dict[Labels, Floats]

LOOKBACK: Final = 300.0
"""Seconds for which the last sample of a series is its value, without a stale marker."""


class Evaluator:
    """Evaluates expressions on a store at `at`, ascending times in seconds; `now` is what `time()` returns then.

    Look-ups are shared by all expressions: make a new one when the store has changed.
    """

    def __init__(self, store: Store, at: Floats, *, now: Floats | None = None, version: int = 3) -> None:
        self._store, self._at, self._version = store, at, version
        self._now = at if now is None else now
        self._ranges: dict[tuple[int, float, float, float], Ranges] = {}
        self._found: dict[tuple[str, tuple[tuple[str, str, str], ...]], list[Series]] = {}
        self._instants: dict[tuple[int, float], Floats] = {}

    def vector(self, expr: str) -> Vector:
        """Return the vector of an expression. Raises `PromqlError`."""
        with np.errstate(all="ignore"):
            found = self._evaluate(parse(expr))
        return found if isinstance(found, dict) else {(): found}

    def forget(self, name: str) -> None:
        """Look up the series of this name anew."""
        forgotten = [series for key in [*self._found] if key[0] == name for series in self._found.pop(key)]
        if forgotten:
            gone = {id(series) for series in forgotten}
            self._instants = {key: found for key, found in self._instants.items() if key[0] not in gone}
            gone = {id(series.samples[0]) for series in forgotten}
            self._ranges = {key: found for key, found in self._ranges.items() if key[0] not in gone}

    def _evaluate(self, node: Node) -> Vector | Floats:
        if isinstance(node, Number):
            return np.full(len(self._at), node.value)
        if isinstance(node, Selector):
            if node.window is not None:
                raise PromqlError(f"a range of {node.name} without a function")
            return {
                each.labels: value
                for each in self._select(node)
                if not np.isnan(value := self._instant(each, node.offset)).all()
            }
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Aggregation):
            return self._aggregate(node)
        if isinstance(node, Binary):
            return self._binary(node)
        raise PromqlError("a string is no vector")

    def _vector(self, node: Node) -> Vector:
        found = self._evaluate(node)
        if not isinstance(found, dict):
            raise PromqlError("a vector is expected, not a number")
        return found

    # Selectors.

    def _select(self, node: Selector) -> list[Series]:
        key = (node.name, node.matchers)
        if key not in self._found:
            self._found[key] = self._store.find(*key)
        return self._found[key]

    def _instant(self, series: Series, offset: float) -> Floats:
        key = (id(series), offset)
        if key not in self._instants:
            at = self._at - offset
            last = np.searchsorted(series.times, self._at - max(offset, series.delay), side="right") - 1
            index = np.maximum(last, 0)
            if len(series.times) == 0:
                self._instants[key] = np.full(len(at), np.nan)
            else:
                age = at - series.times[index]
                current = (last >= 0) & ((age < LOOKBACK) if self._version >= 3 else (age <= LOOKBACK))  # noqa: PLR2004
                self._instants[key] = np.where(current, series.values[index], np.nan)
        return self._instants[key]

    def _ranges_of(self, series: Series, node: Selector) -> Ranges:
        assert node.window is not None
        times = series.samples[0]
        key = (id(times), node.window, node.offset, series.delay)
        if key not in self._ranges:
            seen = self._at - max(node.offset, series.delay)
            at = self._at - node.offset
            self._ranges[key] = Ranges.of(times, at, node.window, version=self._version, seen=seen)
        return self._ranges[key]

    # Functions.

    def _call(self, node: Call) -> Vector | Floats:
        name, arguments = node.function, node.arguments
        if name in RANGES:
            return self._of_range(name, arguments[0])
        if name in NUMBERS:
            others = [self._evaluate(each) for each in arguments[1:]]
            vector = self._vector(arguments[0])
            return _merged((_nameless(of), NUMBERS[name](value, *others)) for of, value in vector.items())
        if name not in self._FUNCTIONS:
            raise PromqlError(f"function {name} is not known")
        return self._FUNCTIONS[name](self, arguments)

    def _time(self, _: Sequence[Node]) -> Vector | Floats:
        return self._now

    def _as_vector(self, arguments: Sequence[Node]) -> Vector:
        value = self._evaluate(arguments[0])
        return value if isinstance(value, dict) else {(): value}

    def _scalar(self, arguments: Sequence[Node]) -> Floats:
        vector = list(self._vector(arguments[0]).values())
        return vector[0] if len(vector) == 1 else np.full(len(self._at), np.nan)

    def _of_range(self, name: str, node: Node) -> Vector:
        if not isinstance(node, Selector) or node.window is None:
            raise PromqlError(f"{name} of something else than a range")
        function = RANGES[name]
        result: Vector = {}
        for series in self._select(node):
            value = function(series, self._ranges_of(series, node))
            if not np.isnan(value).all():
                result[series.labels if name == "last_over_time" else _nameless(series.labels)] = value
        return result

    def _is_absent(self, arguments: Sequence[Node]) -> Vector:
        return self._absent(arguments[0], self._vector(arguments[0]))

    def _is_absent_over_time(self, arguments: Sequence[Node]) -> Vector:
        return self._absent(arguments[0], self._of_range("present_over_time", arguments[0]))

    def _absent(self, node: Node, vector: Vector) -> Vector:
        there = np.zeros(len(self._at), dtype=bool)
        for value in vector.values():
            there |= ~np.isnan(value)
        matchers = node.matchers if isinstance(node, Selector) else ()
        of = tuple(sorted((label, value) for label, operator, value in matchers if operator == "="))
        return {of: np.where(there, np.nan, 1.0)}

    def _label_replace(self, arguments: Sequence[Node]) -> Vector:
        vector, *texts = arguments
        target, replacement, source, pattern = (each.value if isinstance(each, Text) else "" for each in texts)
        expand = re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", replacement.replace("\\", r"\\"))
        found = []
        for of, value in self._vector(vector).items():
            known = dict(of)
            match = re.fullmatch(pattern, known.get(source, ""))
            if match is not None:
                known[target] = match.expand(expand)
            found.append((tuple(sorted(item for item in known.items() if item[1])), value))
        return _merged(found)

    def _histogram_quantile(self, arguments: Sequence[Node]) -> Vector:
        q = self._evaluate(arguments[0])
        assert not isinstance(q, dict)
        by_labels: dict[Labels, list[tuple[float, Floats]]] = {}
        for of, value in self._vector(arguments[1]).items():
            edge = float(dict(of)["le"].replace("+Inf", "inf"))
            other = tuple(item for item in _nameless(of) if item[0] != "le")
            by_labels.setdefault(other, []).append((edge, value))
        return {of: quantile(q, sorted(each, key=lambda item: item[0])) for of, each in by_labels.items()}

    # Aggregations.

    def _aggregate(self, node: Aggregation) -> Vector:
        vector = self._vector(node.inner)
        if node.operator == "topk":
            if node.parameter is None:
                raise PromqlError("topk without a number")
            return self._top(vector, node)
        groups: dict[Labels, list[Floats]] = {}
        keys = _keys(node.labels, on=node.by)
        for of, value in vector.items():
            groups.setdefault(keys(of), []).append(value)
        return {key: _aggregated(node.operator, values) for key, values in groups.items()}

    def _top(self, vector: Vector, node: Aggregation) -> Vector:
        assert node.parameter is not None
        number = self._evaluate(node.parameter)
        assert not isinstance(number, dict)
        kept = int(number[0]) if len(number) else 0
        groups: dict[Labels, Vector] = {}
        keys = _keys(node.labels, on=node.by)
        for of, value in vector.items():
            groups.setdefault(keys(of), {})[of] = value
        return {of: value for group in groups.values() for of, value in _largest(group, kept)}

    # Operations.

    def _binary(self, node: Binary) -> Vector | Floats:
        left, right = self._evaluate(node.left), self._evaluate(node.right)
        if node.operator in SETS:
            if not (isinstance(left, dict) and isinstance(right, dict)):
                raise PromqlError(f"{node.operator} of a number")
            return _set_operation(node, left, right)
        if isinstance(left, dict) and isinstance(right, dict):
            return _matched(node, left, right)
        if not isinstance(left, dict) and not isinstance(right, dict):
            return _apply(node, left, right, left)
        vector = left if isinstance(left, dict) else right
        assert isinstance(vector, dict)
        results = []
        for of, value in vector.items():
            operands = (value if isinstance(left, dict) else left, value if isinstance(right, dict) else right)
            results.append((_result_labels(node, of), _apply(node, *operands, value)))
        return _merged(results)

    # Bound methods would be a cycle: an evaluator and its arrays would stay until a collection of garbage.
    _FUNCTIONS: ClassVar[dict[str, Callable[[Evaluator, Sequence[Node]], Vector | Floats]]] = {
        "time": _time,
        "vector": _as_vector,
        "scalar": _scalar,
        "absent": _is_absent,
        "absent_over_time": _is_absent_over_time,
        "label_replace": _label_replace,
        "histogram_quantile": _histogram_quantile,
    }


@lru_cache(maxsize=65_536)
def _nameless(of: Labels) -> Labels:
    return tuple(item for item in of if item[0] != "__name__")


def _keys(names: frozenset[str] | None, *, on: bool) -> Callable[[Labels], Labels]:
    """Return the function that keeps the labels by which label sets are grouped or matched."""
    if names is None:
        return _nameless
    return partial(_kept if on else _others, names)


@lru_cache(maxsize=65_536)
def _kept(names: frozenset[str], of: Labels) -> Labels:
    return tuple(item for item in of if item[0] in names)


@lru_cache(maxsize=65_536)
def _others(names: frozenset[str], of: Labels) -> Labels:
    return tuple(item for item in of if item[0] not in names and item[0] != "__name__")


def _aggregated(operator: str, values: list[Floats]) -> Floats:
    if operator in {"sum", "min", "max"} and len(values) == 1:
        return values[0]
    stacked = np.stack(values)
    there = ~np.isnan(stacked)
    number = there.sum(axis=0)
    if operator == "group":
        found = np.ones(stacked.shape[1])
    elif operator == "count":
        found = number.astype(np.float64)
    elif operator == "sum":
        found = np.where(there, stacked, 0.0).sum(axis=0)
    elif operator == "avg":
        found = np.where(there, stacked, 0.0).sum(axis=0) / np.maximum(number, 1)
    elif operator == "min":
        found = np.where(there, stacked, np.inf).min(axis=0)
    else:
        found = np.where(there, stacked, -np.inf).max(axis=0)
    return np.where(number > 0, found, np.nan)


def _apply(node: Binary, left: Floats, right: Floats, kept: Floats) -> Floats:
    if node.operator not in COMPARE:
        return OPERATIONS[node.operator](left, right)
    true = COMPARE[node.operator](left, right)
    there = ~(np.isnan(left) | np.isnan(right))
    if node.as_bool:
        return np.where(there, true.astype(np.float64), np.nan)
    return np.where(true & there, kept, np.nan)


def _result_labels(node: Binary, of: Labels) -> Labels:
    return of if node.operator in COMPARE and not node.as_bool else _nameless(of)


def _set_operation(node: Binary, left: Vector, right: Vector) -> Vector:
    keys = _keys(node.labels, on=node.on)
    if node.operator == "or":
        of_left: Vector = {}
        for of, value in left.items():
            key = keys(of)
            of_left[key] = np.fmax(of_left[key], np.abs(value)) if key in of_left else np.abs(value)
        added = {
            of: np.where(np.isnan(of_left[keys(of)]), value, np.nan) if keys(of) in of_left else value
            for of, value in right.items()
        }
        return _merged([*left.items(), *added.items()])
    there: dict[Labels, Floats] = {}
    for of, value in right.items():
        key = keys(of)
        there[key] = ~np.isnan(value) | there[key] if key in there else ~np.isnan(value)
    result: Vector = {}
    for of, value in left.items():
        found = there.get(keys(of))
        if node.operator == "and":
            if found is not None:
                result[of] = np.where(found, value, np.nan)
        else:
            result[of] = value if found is None else np.where(found, np.nan, value)
    return result


def _matched(node: Binary, left: Vector, right: Vector) -> Vector:
    """Match each label set of the many side, the left one by default, with those of the other that have its key."""
    keys = _keys(node.labels, on=node.on)
    many, one = (right, left) if node.many == "right" else (left, right)
    by_key: dict[Labels, list[tuple[Labels, Floats]]] = {}
    for of, value in one.items():
        by_key.setdefault(keys(of), []).append((of, value))
    pairs = []
    for of, value in many.items():
        for other, other_value in by_key.get(keys(of), ()):
            operands = (other_value, value) if node.many == "right" else (value, other_value)
            result = _apply(node, *operands, operands[0])
            pairs.append((_joined(node, of, other, keys), result))
    return _merged(pairs)


def _joined(node: Binary, of: Labels, other: Labels, keys: Callable[[Labels], Labels]) -> Labels:
    kept = _result_labels(node, of)
    if not node.many:
        return kept if node.labels is None else keys(of)
    if not node.include:
        return kept
    of_other = dict(other)
    joined = {**dict(kept), **{name: of_other.get(name, "") for name in node.include}}
    return tuple(sorted((name, value) for name, value in joined.items() if value))


def _merged(pairs: Iterable[tuple[Labels, Floats]]) -> Vector:
    """Return the vector of label sets that may be equal, as long as they are not there at the same time."""
    result: Vector = {}
    for of, value in pairs:
        if of not in result:
            result[of] = value
            continue
        both = ~np.isnan(result[of]) & ~np.isnan(value)
        if both.any():
            raise PromqlError(f"several results for {dict(of)}")
        result[of] = np.where(np.isnan(value), result[of], value)
    return result


def _largest(group: Vector, kept: int) -> Iterator[tuple[Labels, Floats]]:
    """Yield each row of a group with its values where it is one of the `kept` largest."""
    values = np.stack([np.where(np.isnan(value), -np.inf, value) for value in group.values()])
    order = np.argsort(np.argsort(-values, axis=0, kind="stable"), axis=0, kind="stable")
    for row, (of, value) in enumerate(group.items()):
        yield of, np.where(order[row] < kept, value, np.nan)
