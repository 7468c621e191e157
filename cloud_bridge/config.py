"""What an operator can set."""

from dataclasses import dataclass
from pathlib import Path

from cloud_bridge.people import MAX_RESIDENT
from cloud_bridge.registry import FILE_NAME
from edge_sdk.errors import ConfigError
from edge_sdk.wire.topics import is_tenant


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one bridge. Port 0 is any free one.

    data              a folder for each tenant: <data>/<tenant>
    tenant            one that may not have its folder yet
    people_in_memory  records of a tenant that stay in memory, some 300 bytes each
    keep_days         how long the log is kept; 0: for ever
    rebuild           make the snapshots again from the log
    secrets           a folder for peppers, a folder for each tenant in it; None: where the data is
    """

    data: Path
    tenant: str | None = None
    broker: str = "auto"
    broker_port: int = 0
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    rules: Path | None = None
    people_in_memory: int = MAX_RESIDENT
    keep_days: float = 0.0
    rebuild: bool = False
    secrets: Path | None = None


def tenants_in(data: Path) -> list[str]:
    """The tenants that have a folder there."""
    return sorted(path.parent.name for path in data.glob(f"*/{FILE_NAME}"))


def home_of(data: Path, tenant: str | None = None) -> Path:
    """The folder of a tenant; of the only one there is, where none is named.

    Raises ConfigError.
    """
    if tenant is not None:
        if not is_tenant(tenant) or not tenant.strip("."):
            raise ConfigError("a tenant's name is 1 to 32 of a-z, 0-9, hyphen, underscore, stop")
        return data / tenant
    known = tenants_in(data)
    if not known:
        raise ConfigError(f"{data}: the first command needs --tenant")
    if len(known) > 1:
        raise ConfigError(f"{data}: has several tenants ({', '.join(known)}); name one: --tenant")
    return data / known[0]


def host_and_port(text: str) -> tuple[str, int]:
    """Of `HOST:PORT`. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError("an address is HOST:PORT, as in 127.0.0.1:8080")
    return host.strip("[]"), int(port)
