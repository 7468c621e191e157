"""One adapter as BlueZ keeps it: who scans, which devices it knows, and what it tells of them."""

import functools
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbus_fast import Message, Variant

from simulators.bus import BUS, Client, Signal

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"

# BlueZ tells of a changed RSSI at once while every scan has a filter, and else from this on: what
# makes a passive scan useless for presence (device_set_rssi_with_delta).
RSSI_THRESHOLD_DB = 8
# A device that nobody connected to is forgotten after this (main.conf, TemporaryTimeout).
TEMPORARY_MS = 30_000

_UUID = "0000{:04x}-0000-1000-8000-00805f9b34fb"
_PATH_OF_ADDRESS = str.maketrans(":", "_")
_ALIAS_OF_ADDRESS = str.maketrans(":", "-")
_RSSI = struct.Struct("<h")


@dataclass(frozen=True, slots=True)
class Facts:
    """What an advertisement says, as properties: name -> value. Those of data are apart."""

    data: dict[str, Variant]
    others: dict[str, Variant]


class Patterns:
    """Which advertisements a passive scan wants: one of (start, AD type, content) is in them."""

    def __init__(self, patterns: Sequence[Sequence[Any]]) -> None:
        self._patterns = [(start, kind, bytes(content)) for start, kind, content in patterns]

    def match(self, advertisement: bytes) -> bool:
        return any(
            kind == wanted and data[start : start + len(content)] == content
            for kind, data in _structures(advertisement)
            for start, wanted, content in self._patterns
        )


class AdapterState:
    """An adapter. `told` sends a signal to whoever asked for it, and says whether anybody did."""

    def __init__(
        self, name: str, number: int, told: Callable[[Signal], bool], max_devices: int
    ) -> None:
        self.name = name
        self.path = f"/org/bluez/{name}"
        self.plugged = True
        self.powered = True
        self.silent_until: str | None = None
        self.jammed = False
        self.filters: dict[Client, dict[str, Any]] = {}
        self.discoveries: dict[Client, dict[str, Any] | None] = {}
        self.monitors: dict[tuple[Client, str], Patterns | None] = {}
        self._own_address = f"00:1A:7D:DA:71:{number:02X}"
        self._told = told
        self._max_devices = max_devices
        self._devices: OrderedDict[str, _Device] = OrderedDict()  # heard longest ago first

    def deaf_because(self) -> str | None:
        """Why it receives nothing, or None."""
        if not self.plugged:
            return "unplugged"
        if not self.powered:
            return "off"
        if not self.discoveries and not any(self.monitors.values()):
            return "not scanned"
        return "silent" if self.silent_until is not None else None

    def properties(self) -> dict[str, Variant]:
        """Of Adapter1."""
        return {
            "Address": Variant("s", self._own_address),
            "Alias": Variant("s", self.name),
            "Name": Variant("s", self.name),
            "Powered": Variant("b", self.powered),
            "Discovering": Variant("b", bool(self.discoveries)),
            "Roles": Variant("as", ["central", "peripheral"]),
        }

    def objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        """This adapter and its devices, as ObjectManager tells of them."""
        if not self.plugged:
            return {}
        interfaces = {ADAPTER: self.properties(), MONITORS: {}}
        devices = {device.path: {DEVICE: device.properties} for device in self._devices.values()}
        return {self.path: interfaces, **devices}

    # Who scans

    def start_discovery(self, client: Client) -> None:
        self.discoveries[client] = self.filters.get(client)
        if self.silent_until == "restart":
            self.silent_until = None
        if len(self.discoveries) == 1:
            self._tell_of_itself("Discovering")

    def stop_discovery(self, client: Client) -> None:
        """The last one that stops leaves no RSSI behind: nobody keeps it true."""
        del self.discoveries[client]
        if self.discoveries:
            return
        for device in self._devices.values():
            if device.properties.pop("RSSI", None) is not None:
                self._told(_changed(device.path, {}, ["RSSI"]))
        self._tell_of_itself("Discovering")

    def client_left(self, client: Client) -> None:
        """A client is gone, and what it asked for with it."""
        self.filters.pop(client, None)
        if self.discoveries.pop(client, _NOBODY) is not _NOBODY and not self.discoveries:
            self._tell_of_itself("Discovering")
        for monitor in [each for each in self.monitors if each[0] is client]:
            del self.monitors[monitor]

    def forget_clients(self) -> None:
        self.filters.clear()
        self.discoveries.clear()
        self.monitors.clear()

    # What happens to it

    def power(self, on: bool) -> None:
        """Off ends every scan, and cures what only a reset cures; on begins none."""
        if on == self.powered or not self.plugged:
            return
        self.powered = on
        if not on:
            self.silent_until = None
            self.jammed = False
            self.forget_clients()
            self._forget(list(self._devices))
        self._tell_of_itself("Powered", "Discovering")

    def unplug(self) -> None:
        self._forget(list(self._devices))
        self.plugged = False
        self.forget_clients()
        self._removed(self.path, [ADAPTER, MONITORS])

    def plug(self) -> None:
        self.plugged = self.powered = True
        self.silent_until = None
        self._devices.clear()
        self._added(self.path, {ADAPTER: self.properties(), MONITORS: {}})

    # What it hears

    def receive(
        self,
        now_ms: int,
        address: str,
        rssi_dbm: int | None,
        advertisement: bytes,
        address_type: str,
    ) -> bool:
        """One advertisement; whether a client was told of it."""
        if not self.discoveries and not self._monitored(advertisement):
            return False
        self._forget(list(self._stale(now_ms)))
        device = self._devices.get(address)
        facts = _facts(advertisement)
        if device is not None:
            device.heard_ms = now_ms
            self._devices.move_to_end(address)
            return self._update(device, rssi_dbm, facts)
        if len(self._devices) >= self._max_devices:
            self._forget([next(iter(self._devices))])
        device = _Device(self.path, address, address_type, now_ms)
        device.properties |= {**facts.data, **facts.others}
        if rssi_dbm is not None:
            device.properties["RSSI"] = Variant("n", rssi_dbm)
        self._devices[address] = device
        return self._added(device.path, {DEVICE: device.properties})

    def _monitored(self, advertisement: bytes) -> bool:
        return any(wanted and wanted.match(advertisement) for wanted in self.monitors.values())

    def _stale(self, now_ms: int) -> Iterator[str]:
        for address, device in self._devices.items():
            if now_ms - device.heard_ms < TEMPORARY_MS:
                return
            yield address

    def _update(self, device: "_Device", rssi_dbm: int | None, facts: Facts) -> bool:
        """Tell what has changed; with DuplicateData, what has not changed as well."""
        filters = self.discoveries.values()
        filtered = bool(filters) and all(each is not None for each in filters)
        duplicates = any(each and each.get("DuplicateData", True) for each in filters)
        properties = device.properties
        heard = properties.get("RSSI")
        least_db = 1 if filtered else RSSI_THRESHOLD_DB
        louder = rssi_dbm is not None and (heard is None or abs(rssi_dbm - heard.value) >= least_db)
        if louder and device.facts is facts:
            assert rssi_dbm is not None
            properties["RSSI"] = Variant("n", rssi_dbm)
            return self._told(device.with_rssi(rssi_dbm, duplicates))
        changed = {
            name: value
            for name, value in (*facts.data.items(), *facts.others.items())
            if properties.get(name) != value or (duplicates and name in facts.data)
        }
        if louder:
            assert rssi_dbm is not None
            changed["RSSI"] = Variant("n", rssi_dbm)
        device.facts = facts
        device.repeated.clear()
        properties.update(changed)
        return bool(changed) and self._told(_changed(device.path, changed))

    def _forget(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            self._removed(self._devices.pop(address).path, [DEVICE])

    # What it tells

    def _tell_of_itself(self, *names: str) -> None:
        mine = self.properties()
        changed = {name: mine[name] for name in names}
        self._told(_changed(self.path, changed, interface=ADAPTER))

    def _added(self, path: str, interfaces: dict[str, dict[str, Variant]]) -> bool:
        return self._told(_of_objects("InterfacesAdded", path, "oa{sa{sv}}", interfaces))

    def _removed(self, path: str, interfaces: list[str]) -> bool:
        return self._told(_of_objects("InterfacesRemoved", path, "oas", interfaces))


_NOBODY: dict[str, Any] = {}


@dataclass(slots=True)
class _Device:
    """A device that an adapter has heard, and the signal that says so once more."""

    adapter_path: str
    address: str
    address_type: str
    heard_ms: int
    properties: dict[str, Variant] = field(default_factory=dict)
    facts: Facts | None = None
    repeated: dict[bool, tuple[Signal, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.properties = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", self.address_type),
            "Alias": Variant("s", self.address.translate(_ALIAS_OF_ADDRESS)),
            "Adapter": Variant("o", self.adapter_path),
            "Paired": Variant("b", False),
            "Connected": Variant("b", False),
            "UUIDs": Variant("as", []),
        }

    @property
    def path(self) -> str:
        return f"{self.adapter_path}/dev_{self.address.translate(_PATH_OF_ADDRESS)}"

    def with_rssi(self, rssi_dbm: int, with_data: bool) -> Signal:
        """The same again at another strength: two bytes of a signal that is kept."""
        if with_data not in self.repeated:
            assert self.facts is not None
            data = self.facts.data if with_data else {}
            low, high = (
                _changed(self.path, {**data, "RSSI": Variant("n", value)}) for value in (0, -1)
            )
            pairs = enumerate(zip(low.message, high.message, strict=True))
            rssi_at = next(at for at, (one, other) in pairs if one != other)
            self.repeated[with_data] = low, rssi_at
        signal, rssi_at = self.repeated[with_data]
        _RSSI.pack_into(signal.message, rssi_at, rssi_dbm)
        return signal


def _changed(
    path: str,
    changed: dict[str, Variant],
    invalidated: Sequence[str] = (),
    interface: str = DEVICE,
) -> Signal:
    message = Message.new_signal(
        path,
        f"{BUS}.Properties",
        "PropertiesChanged",
        "sa{sv}as",
        [interface, changed, list(invalidated)],
    )
    return Signal(message)


def _of_objects(member: str, path: str, signature: str, about: object) -> Signal:
    message = Message.new_signal("/", f"{BUS}.ObjectManager", member, signature, [path, about])
    return Signal(message, path)


def _structures(advertisement: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each AD structure, up to the first that is empty or cut off."""
    at = 0
    while at < len(advertisement) and 0 < advertisement[at] < len(advertisement) - at:
        after = at + 1 + advertisement[at]
        yield advertisement[at + 1], advertisement[at + 2 : after]
        at = after


@functools.lru_cache(4096)
def _facts(advertisement: bytes) -> Facts:
    """The properties that BlueZ makes of AD structures (Core Specification Supplement, Part A)."""
    data: dict[str, Variant] = {}
    others: dict[str, Variant] = {}
    makers: dict[int, Variant] = {}
    services: dict[str, Variant] = {}
    uuids: list[str] = []
    for kind, content in _structures(advertisement):
        if kind == 0x01:
            others["AdvertisingFlags"] = Variant("ay", content)
        elif kind in (0x02, 0x03):
            ends = range(0, len(content) - 1, 2)
            uuids += [_UUID.format(int.from_bytes(content[at : at + 2], "little")) for at in ends]
        elif kind in (0x08, 0x09) and content:
            name = content.replace(b"\0", b"").decode(errors="replace")
            others["Name"] = others["Alias"] = Variant("s", name)
        elif kind == 0x0A and len(content) == 1:
            others["TxPower"] = Variant("n", int.from_bytes(content, signed=True))
        elif kind == 0x16 and len(content) >= 2:
            uuid = _UUID.format(int.from_bytes(content[:2], "little"))
            services[uuid] = Variant("ay", content[2:])
        elif kind == 0xFF and len(content) >= 2:
            makers[int.from_bytes(content[:2], "little")] = Variant("ay", content[2:])
    if makers:
        data["ManufacturerData"] = Variant("a{qv}", makers)
    if services:
        data["ServiceData"] = Variant("a{sv}", services)
    if uuids:
        others["UUIDs"] = Variant("as", uuids)
    return Facts(data, others)
