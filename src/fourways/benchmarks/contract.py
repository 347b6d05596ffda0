"""What a benchmark is: read, prompt, parse, score. One file and one class each; its parts are versioned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from fourways.core.boxes import BoxFormat
from fourways.core.engine import EngineInfo
from fourways.core.events import VisualGeometry
from fourways.core.request import Output
from fourways.core.rows import AnswerRow


@dataclass(frozen=True, slots=True)
class Sample:
    """One question. Holds no pixels: `image` reads the bytes when they are needed, so memory does not grow with a set.

    id: unique in the benchmark. group: samples judged together (rotations of a circular question, an MME image's two
    questions). image_key: cheap identity of the image, equal for questions about the same file. options: letter → text
    (empty unless multiple choice). gold: answer texts, or x1, y1, x2, y2 in original pixels; empty where the
    answers are not public.
    """

    id: str
    group: str
    image_key: str
    image: Callable[[], bytes] = field(repr=False, compare=False)
    question: str
    gold: tuple[str | float, ...]
    category: str = ""
    hint: str = ""
    options: dict[str, str] = field(default_factory=dict)
    language: Literal["en", "zh"] = "en"
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a parser may know beside the reply: how the candidate declares its boxes, and the size it saw."""

    box_format: BoxFormat | None
    visuals: Sequence[VisualGeometry]


@dataclass(frozen=True, slots=True)
class MetricPart:
    """sum(values) / sum(weights) over units, each belonging to a cluster (its image). Same length: clusters, values,
    and weights, which are 1 where there are none: the mean of values in [0, 1]. With weights it is a ratio, such as
    F1 = sum(2 TP) / sum(2 TP + FP + FN); each value then lies in [0, its weight]."""

    coefficient: float
    clusters: tuple[str, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """value = sum over parts of coefficient x (values / weights). So one score interval and one paired test over
    clusters serve every metric.

    definition: name@version. labels: what it is of, e.g. {"category": "color"}. maximum: the best possible value.
    direction "none": it describes, and no value of it is better than another (the share of yes).
    """

    name: str
    definition: str
    unit: str
    maximum: float
    parts: tuple[MetricPart, ...]
    primary: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    direction: Literal["higher", "lower", "none"] = "higher"


class Benchmark(ABC):
    """One benchmark. `key` names it on the command line and in rows; the versions go into the run's header."""

    key: str
    title: str
    definitions: Mapping[str, str]
    """name@version → formula, in words, of every metric it yields; the primary one's first."""
    primary: str
    """The name of its primary metric."""
    prompt_version: int
    parser_version: int
    scorer_version: int
    columns: Mapping[str, str] = MappingProxyType({})
    """What is read → what the table calls it, for a benchmark that was given by path."""
    ranks: bool = False
    """Whether the reply is the likeliest of given continuations, which not every engine can tell."""

    @abstractmethod
    def read(self, path: Path) -> Iterator[Sample]:
        """Samples in file order, questions about one image adjacent wherever the format has them so. Raises
        BenchmarkFormatError naming file, row and column."""

    def edition(self, path: Path) -> str:
        """Which release and split the data at `path` is, as far as its files' names tell ("dev v1.1"); "" if they do
        not. Published scores are compared only where it is known to be the same."""
        return ""

    @abstractmethod
    def prompt(self, sample: Sample, dialect: str) -> str:
        """The text that follows the image. Unknown dialects get the generic prompt."""

    @abstractmethod
    def output(self, sample: Sample) -> Output:
        """Greedy generation with this benchmark's own length, or a ranking of continuations, of which the likeliest is
        the reply. The caller sets sampling and seed."""

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        """The replies among which likelihood may choose ("A", "B", …); empty where the answer is open."""
        return ()

    @abstractmethod
    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | tuple[float, ...] | None:
        """What the reply says under the official rule, or None if the rule cannot read it. Never raises on a reply."""

    def undefined(self, engine: EngineInfo) -> str | None:
        """Why no reply of this engine can be judged, whatever it says ("no access: …"); None where it can. A score of 0
        would blame the model for what is not known about it."""
        return None

    @abstractmethod
    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        """This sample's own score in [0, 1]; 0 for None."""

    @abstractmethod
    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        """Every official figure from finished rows, exactly one of them primary; none where no answer is public. Pure:
        needs `sample`, `group`, `gold`, `reply`, `parsed`, `score`, `status`, `image`, `category` and `extra` (the
        sample's own) of the rows only. Rows that failed count as wrong."""
