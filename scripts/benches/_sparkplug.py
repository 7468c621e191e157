"""The same touchpoints as Sparkplug B would carry them: what `scripts/bench wire` compares with.

Payload and Metric are those of the Eclipse Tahu project's sparkplug_b.proto (proto2), as far as
they are used; a metric is filled as its Python client's addMetric() does: name or alias, timestamp,
datatype, value. One metric a field that has a value; none for the names' birth certificates.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

from edge_sdk.wire.touchpoint import FIELDS, Touchpoint

_UINT32, _UINT64, _STRING, _BYTES = 13, 4, 9, 12  # FieldDescriptorProto.Type
_OPTIONAL, _REPEATED = 1, 3

_METRIC = (
    ("name", 1, _STRING),
    ("alias", 2, _UINT64),
    ("timestamp", 3, _UINT64),
    ("datatype", 4, _UINT32),
    ("int_value", 10, _UINT32),
    ("long_value", 11, _UINT64),
    ("string_value", 15, _STRING),
    ("bytes_value", 16, _BYTES),
)
_INT32, _INT64, _TEXT, _DATA = 3, 4, 12, 17  # Sparkplug's datatypes


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug")
    metric = file.message_type.add(name="Metric")
    for name, number, kind in _METRIC:
        field = metric.field.add(name=name, number=number, type=kind, label=_OPTIONAL)
        if name.endswith("_value"):
            field.oneof_index = 0
    metric.oneof_decl.add(name="value")
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=_UINT64, label=_OPTIONAL)
    payload.field.add(
        name="metrics", number=2, type=11, label=_REPEATED, type_name=".sparkplug.Metric"
    )
    payload.field.add(name="seq", number=3, type=_UINT64, label=_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


class Sparkplug:
    """Encodes payloads, with each metric's name or with its alias."""

    def __init__(self, *, aliases: bool) -> None:
        self._payload = _payload_class()
        self._aliases: dict[str, int] | None = {} if aliases else None
        self._seq = 0

    def encode(self, touchpoints: Sequence[Touchpoint]) -> bytes:
        """One payload of these touchpoints; its own time is the last one's."""
        payload = self._payload(timestamp=touchpoints[-1].at_ms, seq=self._seq)
        self._seq = (self._seq + 1) % 256
        for touchpoint in touchpoints:
            for (field, _), value in zip(FIELDS[touchpoint.code], touchpoint.values, strict=True):
                if value is not None:
                    metric = payload.metrics.add(timestamp=touchpoint.at_ms)
                    self._call(metric, f"{touchpoint.name}/{field}")
                    _set_value(metric, value)
        encoded: bytes = payload.SerializeToString()
        return encoded

    def read(self, encoded: bytes) -> Any:
        """The payload again."""
        return self._payload.FromString(encoded)

    def _call(self, metric: Any, name: str) -> None:
        if self._aliases is None:
            metric.name = name
        else:
            metric.alias = self._aliases.setdefault(name, len(self._aliases))


def _set_value(metric: Any, value: object) -> None:
    """As addMetric() does: a negative number is sent as its two's complement."""
    if isinstance(value, str):
        metric.datatype, metric.string_value = _TEXT, value
    elif isinstance(value, bytes):
        metric.datatype, metric.bytes_value = _DATA, value
    elif isinstance(value, int) and -(1 << 31) <= value < 1 << 31:
        metric.datatype, metric.int_value = _INT32, value % (1 << 32)
    elif isinstance(value, int):
        metric.datatype, metric.long_value = _INT64, value % (1 << 64)
