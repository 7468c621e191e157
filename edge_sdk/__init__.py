"""Edge SDK: a shop's touchpoints, sealed to the cloud, and personal prompts back."""

from edge_sdk import touchpoints
from edge_sdk.device import Device, DeviceConfig, Status, enrol
from edge_sdk.errors import (
    ClosedError,
    ConfigError,
    CorruptError,
    DiskFullError,
    EdgeError,
    StorageError,
)
from edge_sdk.outbox_store import OutboxFullError
from edge_sdk.prompts import Prompt
from edge_sdk.wire.touchpoint import Touchpoint, TouchpointError

__all__ = [
    "ClosedError",
    "ConfigError",
    "CorruptError",
    "Device",
    "DeviceConfig",
    "DiskFullError",
    "EdgeError",
    "OutboxFullError",
    "Prompt",
    "Status",
    "StorageError",
    "Touchpoint",
    "TouchpointError",
    "enrol",
    "touchpoints",
]
