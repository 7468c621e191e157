"""The desk of /beacons: the back end of an app registers its customers' phones and tags.

Whoever registers a key says whose its bearer is. So it takes the API key of a site that no web page
may use (it has no origins): one that stands in a page is known to everybody.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from cloud_bridge.beacons import (
    DEFAULT_EXPONENT,
    EID,
    IRK,
    PUBLIC_KEY_BYTES,
    Beacon,
    agreed,
    check_name,
    from_hex,
    new_beacon,
)
from cloud_bridge.clock import Clock
from cloud_bridge.errors import BeaconError
from cloud_bridge.registry import Registry
from cloud_bridge.staff_door import Answer, StaffDoor
from edge_sdk.errors import StorageError
from edge_sdk.presence.identifiers import KEY_BYTES
from edge_sdk.wire.suite import Suite

PATH = "/beacons"
MAX_BODY_BYTES = 4096

_Hex = Annotated[str, Meta(max_length=64)]


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """A body of POST /beacons.

    `public_key` (of an eid) is agreed upon; else `key` is the identity key, or the resolving key.
    """

    id: str
    kind: str = EID
    public_key: _Hex | None = None
    key: _Hex | None = None
    exponent: int = DEFAULT_EXPONENT
    clock_s: int = 0


class Removal(msgspec.Struct, forbid_unknown_fields=True):
    """A body of DELETE /beacons; without a kind all of them."""

    id: str
    kind: str | None = None


_registration = msgspec.json.Decoder(Registration)
_removal = msgspec.json.Decoder(Removal)

# Opens the registry of a tenant, anew: requests run on threads of their own.
OpenRegistry = Callable[[str], Registry]


class BeaconDesk:
    """`answer` a request; it returns once what was asked is on disk."""

    def __init__(
        self,
        suite: Suite,
        clock: Clock,
        door: StaffDoor,
        registry: OpenRegistry,
    ) -> None:
        self._suite = suite
        self._clock = clock
        self._door = door
        self._registry = registry

    async def answer(self, method: str, head: dict[bytes, bytes], raw: bytes) -> Answer:
        """Status and JSON."""
        site = self._door.admit(head)
        if isinstance(site, tuple):
            return site
        if len(raw) > MAX_BODY_BYTES:
            return 413, {"error": f"a body has at most {MAX_BODY_BYTES} bytes"}
        try:
            if method == "DELETE":
                removal = _removal.decode(raw)
                check_name(removal.id)
                there = await asyncio.to_thread(self._remove, site.tenant, removal)
                return (200, {}) if there else (404, {"error": "no such beacon is registered"})
            beacon, ours = self._beacon(_registration.decode(raw))
            await asyncio.to_thread(self._add, site.tenant, beacon)
        except BeaconError as error:
            return 422, {"error": str(error)}
        except msgspec.MsgspecError:
            return 422, {"error": "the body is not as described in /docs"}  # and is not repeated
        except (UnicodeDecodeError, RecursionError):
            return 422, {"error": "the body is not as described in /docs"}
        except StorageError:
            return 503, {"error": "try again"}
        return 201, {"resolver_public_key": ours.hex()} if ours else {}

    def _beacon(self, asked: Registration) -> tuple[Beacon, bytes]:
        """What to register, and our public key where one was agreed with. Raises BeaconError."""
        if (asked.key is None) == (asked.public_key is None):
            raise BeaconError("either a key or a public_key is given")
        ours = b""
        if asked.public_key is None:
            key = from_hex(asked.key or "", KEY_BYTES, "a beacon's key")
        elif asked.kind == IRK:
            raise BeaconError("a resolving key is given as key")
        else:
            public = from_hex(asked.public_key, PUBLIC_KEY_BYTES, "a beacon's public key")
            key, ours = agreed(self._suite, public)
        now_s = self._clock.wall_ms() // 1000
        beacon = new_beacon(
            asked.id,
            asked.kind,
            key,
            now_s,
            exponent=asked.exponent,
            beacon_time_s=asked.clock_s,
        )
        return beacon, ours

    def _add(self, tenant: str, beacon: Beacon) -> None:
        with self._registry(tenant).opened() as registry:
            registry.add_beacon(beacon)

    def _remove(self, tenant: str, removal: Removal) -> int:
        with self._registry(tenant).opened() as registry:
            return registry.remove_beacon(removal.id, removal.kind)
