"""What an operator can set."""

from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one bridge. Port 0 is any free one; without `tenant` the folder's own counts."""

    data: Path
    tenant: str | None = None
    broker: str = "auto"
    broker_port: int = 0
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    rules: Path | None = None


def host_and_port(text: str) -> tuple[str, int]:
    """Of `HOST:PORT`. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError("an address is HOST:PORT, as in 127.0.0.1:8080")
    return host.strip("[]"), int(port)
