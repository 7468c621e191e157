"""BlueZ without a radio: a D-Bus peer that the real bleak scans, and that one can advertise to.

It does what BlueZ 5 does where that matters to whoever scans (src/adapter.c, src/device.c): which
changes are told in an active and in a passive scan, devices that are forgotten, adapters that are
off, gone, denied or deaf. Linux only, as bleak's BlueZ backend is.
"""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dbus_fast import Message, MessageType, Variant

from edge_sdk.clock import Clock, SteadyClock
from simulators.bluez_adapter import AdapterState, Patterns
from simulators.bus import ACCESS_DENIED, UNKNOWN_METHOD, Bus, Client, Signal

SERVICE = "org.bluez"
MONITOR = "org.bluez.AdvertisementMonitor1"
BUS_VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
NOT_READY = "org.bluez.Error.NotReady"
FAILED = "org.bluez.Error.Failed"
BUSY = "org.bluez.Error.Busy"


class BlueZ:
    """`async with BlueZ(["hci0", "hci1"]) as peer: peer.advertise("hci0", address, -60, data)`.

    adapters     names; all are plugged in and switched on
    clock        tells when a device was last heard; in ms
    max_devices  remembered by one adapter; the one heard longest ago is forgotten for a new one
    export       point this process's DBUS_SYSTEM_BUS_ADDRESS here meanwhile

    `address` is what another process exports as DBUS_SYSTEM_BUS_ADDRESS. `calls` counts what
    clients asked of each adapter, as ("hci0", "StartDiscovery"); `missed` counts advertisements
    that no scan heard, by why.
    """

    def __init__(
        self,
        adapters: Sequence[str] = ("hci0",),
        clock: Clock | None = None,
        *,
        max_devices: int = 4096,
        export: bool = True,
    ) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.missed: Counter[str] = Counter()
        self._clock = clock or SteadyClock()
        self._max_devices = max_devices
        self._export = export
        self._denied: set[str] = set()
        self._switching: dict[str, list[tuple[Client, Message]]] = {}
        self._adapters = {name: self._fresh(name, number) for number, name in enumerate(adapters)}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._bus: Bus | None = None
        self._address_before: str | None = None
        self._called = asyncio.Event()

    @property
    def address(self) -> str:
        """Of the bus, as DBUS_SYSTEM_BUS_ADDRESS has it."""
        assert self._folder is not None, "enter it with `async with`"
        return f"unix:path={self._folder.name}/system_bus_socket"

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="edge-sdk-bluez-")
        path = str(Path(self._folder.name) / "system_bus_socket")
        self._bus = Bus(path, SERVICE, self._answer, self._left)
        await self._bus.__aenter__()
        if self._export:
            self._address_before = os.environ.get(BUS_VARIABLE)
            os.environ[BUS_VARIABLE] = self.address
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._bus is not None
        assert self._folder is not None
        if self._export:
            del os.environ[BUS_VARIABLE]
            if self._address_before is not None:
                os.environ[BUS_VARIABLE] = self._address_before
        await self._bus.__aexit__(*exc_info)
        self._folder.cleanup()

    # What the air brings

    def advertise(
        self,
        adapter: str,
        address: str,
        rssi_dbm: int | None,
        advertisement: bytes = b"",
        address_type: str = "random",
    ) -> bool:
        """An adapter receives one advertisement; whether a client was told of it.

        address        "C0:FF:EE:00:00:01"
        rssi_dbm       127 as a radio says "not available"; None leaves the property out
        advertisement  AD structures, as they were on the air; broken ones are cut off, as BlueZ
                       does it
        """
        state = self._adapters[adapter]
        why = state.deaf_because()
        if why is not None:
            self.missed[why] += 1
            return False
        now_ms = self._clock.now_ms()
        return state.receive(now_ms, address, rssi_dbm, advertisement, address_type)

    def scanned(self, adapter: str) -> bool:
        """Whether a client scans with this adapter, and the adapter can hear."""
        return self._adapters[adapter].deaf_because() is None

    async def until_scanned(self, *adapters: str) -> None:
        """Return when clients scan with these adapters, or with all."""
        while not all(self.scanned(name) for name in adapters or self._adapters):
            self._called.clear()
            await self._called.wait()

    async def told(self) -> None:
        """Return when all that was told has gone into the clients' sockets."""
        assert self._bus is not None
        for client in list(self._bus.clients):
            await client.written()

    # What can go wrong

    def silence(self, adapter: str, until: str = "reset") -> None:
        """Its scan dies without a word, until it is switched off and on ("reset").

        Or until discovery is started anew ("restart").
        """
        self._adapters[adapter].silent_until = until

    def jam(self, adapter: str) -> None:
        """BlueZ takes every new scan for one that runs already, until the adapter is reset."""
        self._adapters[adapter].jammed = True

    def power(self, adapter: str, on: bool) -> None:
        """Somebody else switches an adapter on or off."""
        self._adapters[adapter].power(on)

    def switch_slowly(self, adapter: str) -> None:
        """From now on it is busy with an order to switch, until `switch_now`; it takes no other."""
        self._switching[adapter] = []

    def switch_now(self, adapter: str) -> None:
        """What was ordered is done and answered, and further orders are again done at once."""
        for client, message in self._switching.pop(adapter):
            client.send(self._switched(self._adapters[adapter], message))

    def unplug(self, adapter: str) -> None:
        """An adapter is gone, and its devices with it."""
        self._adapters[adapter].unplug()

    def plug(self, adapter: str) -> None:
        """It is back, switched on, and knows no device."""
        self._adapters[adapter].plug()

    def deny(self, *members: str) -> None:
        """A policy of the bus denies calls of these methods to BlueZ; of all, if none is named."""
        self._denied = set(members or ("*",))

    def allow(self) -> None:
        """No policy denies anything any more."""
        self._denied = set()

    def stop_service(self) -> None:
        """The daemon ends: the bus stays, but nobody answers, and scans are forgotten."""
        assert self._bus is not None
        self._bus.service_runs = False
        for adapter in self._adapters.values():
            adapter.forget_clients()

    def start_service(self) -> None:
        """The daemon is there again, and tells of its adapters."""
        assert self._bus is not None
        self._bus.service_runs = True
        for adapter in self._adapters.values():
            if adapter.plugged:
                adapter.plug()

    async def hang_up(self) -> None:
        """The bus itself is restarted: all connections end."""
        assert self._bus is not None
        await self._bus.hang_up()

    # What clients ask

    def _fresh(self, name: str, number: int) -> AdapterState:
        return AdapterState(name, number, self._signal, self._max_devices)

    def _signal(self, signal: Signal) -> bool:
        return self._bus is not None and self._bus.service_runs and self._bus.signal(signal)

    def _left(self, client: Client) -> None:
        for adapter in self._adapters.values():
            adapter.client_left(client)

    def _answer(self, client: Client, message: Message) -> Message | None:
        if message.message_type is MessageType.SIGNAL:
            self._client_told(client, message)
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if self._denied & {"*", message.member}:
            return Message.new_error(message, ACCESS_DENIED, "a policy of the bus denies this")
        if message.path == "/" and message.member == "GetManagedObjects":
            objects: dict[str, dict[str, dict[str, Variant]]] = {"/org/bluez": {}}
            for each in self._adapters.values():
                objects |= each.objects()
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [objects])
        name = (message.path or "").removeprefix("/org/bluez/").partition("/")[0]
        adapter = self._adapters.get(name)
        if adapter is None or not adapter.plugged:
            text = f'Method "{message.member}" with signature "" on interface does not exist'
            return Message.new_error(message, UNKNOWN_METHOD, text)
        self.calls[name, _called(message)] += 1
        self._called.set()
        return self._of_adapter(client, adapter, message)

    def _of_adapter(  # noqa: PLR0912  a call a branch
        self, client: Client, adapter: AdapterState, message: Message
    ) -> Message | None:
        done = Message.new_method_return(message)
        match message.interface, message.member, message.body:
            case "org.bluez.Adapter1", "SetDiscoveryFilter", [filters]:
                adapter.filters[client] = {key: value.value for key, value in filters.items()}
                return done
            case "org.bluez.Adapter1", "StartDiscovery", _:
                if not adapter.powered:
                    return Message.new_error(message, NOT_READY, "Resource Not Ready")
                if adapter.jammed or client in adapter.discoveries:
                    return Message.new_error(
                        message, "org.bluez.Error.InProgress", "Operation already in progress"
                    )
                adapter.start_discovery(client)
                return done
            case "org.bluez.Adapter1", "StopDiscovery", _:
                if not adapter.powered:
                    return Message.new_error(message, NOT_READY, "Resource Not Ready")
                if client not in adapter.discoveries:
                    return Message.new_error(message, FAILED, "No discovery started")
                adapter.stop_discovery(client)
                return done
            case "org.bluez.AdvertisementMonitorManager1", "RegisterMonitor", [str(path)]:
                adapter.monitors[client, path] = None  # it is active once it was exported
                return done
            case "org.bluez.AdvertisementMonitorManager1", "UnregisterMonitor", [str(path)]:
                adapter.monitors.pop((client, path), None)
                return done
            case _, "Get", [_, str(wanted)] if wanted in adapter.properties():
                return Message.new_method_return(message, "v", [adapter.properties()[wanted]])
            case _, "GetAll", _:
                return Message.new_method_return(message, "a{sv}", [adapter.properties()])
            case _, "Set", [_, "Powered", Variant()]:
                ordered = self._switching.get(adapter.name)
                if ordered is None:
                    return self._switched(adapter, message)
                if ordered:
                    return Message.new_error(message, BUSY, "Busy")
                ordered.append((client, message))
                return None
        return Message.new_error(message, UNKNOWN_METHOD, "no such method")

    def _switched(self, adapter: AdapterState, message: Message) -> Message:
        adapter.power(bool(message.body[2].value))
        return Message.new_method_return(message)

    def _client_told(self, client: Client, message: Message) -> None:
        """Bleak exports its monitor after it has registered it: only then does BlueZ use it."""
        if message.member != "InterfacesAdded":
            return
        self._called.set()
        path, interfaces = message.body
        patterns = interfaces.get(MONITOR, {}).get("Patterns")
        for adapter in self._adapters.values():
            if patterns is not None and (client, path) in adapter.monitors:
                adapter.monitors[client, path] = Patterns(patterns.value)


def _called(message: Message) -> str:
    """How `calls` counts it."""
    match message.member, message.body:
        case "Set", [_, str(name), Variant() as value]:
            return f"{name} {value.value}"
    return message.member or ""
