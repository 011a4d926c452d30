"""The page of metrics as text: that of prometheus_client, byte by byte, in a fraction of its time.

prometheus_client makes an object of each sample, and sorts and escapes its labels at every scrape. Here the labels of a
series are encoded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric
    from prometheus_client.samples import Exemplar

    Encoder = Callable[[Collector], bytes]

LAST_LINE: Final = b"# EOF\n"
"""The last line of OpenMetrics."""

MIN_KEPT: Final = 10_000
"""Label sets that are kept, before those of removed series are dropped."""

ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
"""Characters of a label's value that are escaped, for `str.translate`."""


class Series(Protocol):
    """One series of a family, or all that a histogram has of one label set."""

    def lines(self, name: str, labels: tuple[str, str], *, exemplars: bool) -> Iterator[str]:
        """Yield its lines. `labels` is the text of those before `le`, each with a comma, and of those after it."""


class Family(Protocol):
    """All series of a metric."""

    @property
    def metric(self) -> Metric:
        """The metric without its series."""

    @property
    def sample_name(self) -> str:
        """Name of its samples, without the suffixes of a histogram."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""

    def children(self) -> Mapping[tuple[str, ...], Series]:
        """Return a copy of its series by the values of their labels."""


class Exposition:
    """Encodes families. It keeps the labels of their series as text, and encodes one page at a time."""

    def __init__(self) -> None:
        self._labels: dict[tuple[str, ...], dict[tuple[str, ...], tuple[str, str]]] = {}
        self._kept = self._encoded = 0

    def begin(self) -> None:
        """Begin a page. The labels are encoded anew if most of those that are kept belong to removed series."""
        if self._kept > max(MIN_KEPT, 2 * self._encoded):
            self._labels.clear()
            self._kept = 0
        self._encoded = 0

    def encode(self, family: Family, encoder: Encoder, *, exemplars: bool) -> bytes:
        """Return the lines of a family; `encoder` is the one of prometheus_client, for what precedes its series."""
        lines = [encode_metric(family.metric, encoder).decode()]
        name, names = family.sample_name, family.label_names
        known = self._labels.setdefault(names, {})
        children = family.children()
        self._encoded += len(children)
        for values, series in children.items():
            if (labels := known.get(values)) is None:
                labels = known[values] = _text(names, values)
                self._kept += 1
            lines += series.lines(name, labels, exemplars=exemplars)
        return "".join(lines).encode()


def encode_metric(metric: Metric, encoder: Encoder) -> bytes:
    """Return the lines of a metric as an encoder of prometheus_client writes them, without the last line of a page."""
    return encoder(_Single(metric)).removesuffix(LAST_LINE)


def number(value: float) -> str:
    """Return a value as text, with an exponent where Go writes one."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # prometheus_client types only some functions
    return text


def joined(labels: tuple[str, str]) -> str:
    """Return the text of all labels but `le`, from the texts of those before it and of those after it."""
    before, after = labels
    return before + after[1:] if after else before[:-1]


def exemplar_text(exemplar: Exemplar | None) -> str:
    """Return what follows the value of a sample in OpenMetrics."""
    if exemplar is None:
        return ""
    labels = ",".join(f'{name}="{value.translate(ESCAPED)}"' for name, value in sorted(exemplar.labels.items()))
    at = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {{{labels}}} {number(exemplar.value)}{at}"


def _text(names: Sequence[str], values: Sequence[str]) -> tuple[str, str]:
    """Return the labels as text, in the order of their names: those before `le`, and those after it."""
    before = after = ""
    for name, value in sorted(zip(names, values, strict=True)):
        text = f'{name}="{value.translate(ESCAPED)}"'
        if name < "le":
            before += f"{text},"
        else:
            after += f",{text}"
    return before, after


class _Single(Collector):
    """One metric, as the encoders take it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self._metric
