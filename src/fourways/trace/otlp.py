"""OTLP's JSON form: the messages of traces and metrics that an export needs, as msgspec types.

Names and encoding follow opentelemetry-proto v1 (trace.proto, metrics.proto) and the OTLP specification's section "JSON
Protobuf Encoding": lowerCamelCase, 64-bit integers as text, ids in hexadecimal. The Python exporters of this form are
pre-releases and send what an SDK recorded live; these are facts of the past with instants of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2
CUMULATIVE = 2


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them is set."""

    string: str | None = msgspec.field(default=None, name="stringValue")
    integer: str | None = msgspec.field(default=None, name="intValue")
    double: float | None = msgspec.field(default=None, name="doubleValue")


class Attribute(msgspec.Struct, frozen=True):
    key: str
    value: Value


class Resource(msgspec.Struct, frozen=True):
    attributes: tuple[Attribute, ...]


class Scope(msgspec.Struct, frozen=True):
    name: str
    version: str


class SpanEvent(msgspec.Struct, frozen=True):
    time: str = msgspec.field(name="timeUnixNano")
    name: str
    attributes: tuple[Attribute, ...] = ()


class Status(msgspec.Struct, frozen=True):
    code: int
    message: str


class Span(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    trace_id: str
    span_id: str
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    parent_span_id: str = ""
    attributes: tuple[Attribute, ...] = ()
    events: tuple[SpanEvent, ...] = ()
    status: Status | None = None


class ScopeSpans(msgspec.Struct, frozen=True):
    scope: Scope
    spans: tuple[Span, ...]


class ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource
    scope_spans: tuple[ScopeSpans, ...]


class TracesData(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: tuple[ResourceSpans, ...]


class HistogramPoint(msgspec.Struct, frozen=True, rename="camel"):
    """bucket_counts: one more than explicit_bounds; bucket i holds values up to and with bound i."""

    attributes: tuple[Attribute, ...]
    start_time_unix_nano: str
    time_unix_nano: str
    count: str
    sum: float
    bucket_counts: tuple[str, ...]
    explicit_bounds: tuple[float, ...]
    min: float
    max: float


class Histogram(msgspec.Struct, frozen=True, rename="camel"):
    data_points: tuple[HistogramPoint, ...]
    aggregation_temporality: int = CUMULATIVE


class NumberPoint(msgspec.Struct, frozen=True, rename="camel"):
    attributes: tuple[Attribute, ...]
    start_time_unix_nano: str
    time_unix_nano: str
    as_int: str


class Sum(msgspec.Struct, frozen=True, rename="camel"):
    data_points: tuple[NumberPoint, ...]
    aggregation_temporality: int = CUMULATIVE
    is_monotonic: bool = True


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    unit: str
    description: str
    histogram: Histogram | None = None
    sum: Sum | None = None


class ScopeMetrics(msgspec.Struct, frozen=True):
    scope: Scope
    metrics: tuple[Metric, ...]


class ResourceMetrics(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource
    scope_metrics: tuple[ScopeMetrics, ...]


class MetricsData(msgspec.Struct, frozen=True, rename="camel"):
    resource_metrics: tuple[ResourceMetrics, ...]


def attributes(pairs: Iterable[tuple[str, str | int | float | None]]) -> tuple[Attribute, ...]:
    """Those whose value is not None."""
    return tuple(Attribute(key, _value(value)) for key, value in pairs if value is not None)


def _value(value: str | int | float) -> Value:
    if isinstance(value, str):
        return Value(string=value)
    return Value(integer=str(value)) if isinstance(value, int) else Value(double=value)


encode = msgspec.json.Encoder().encode
