"""What one must ask BlueZ itself, beside scanning: which adapters there are, and to reset one.

Linux only. Each question has a connection of its own to the system's D-Bus: they are rare, and
what hangs then is not what scans. Standard: org.bluez.Adapter(5).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from edge_sdk.errors import ConfigError, RadioError
from edge_sdk.sources import trouble

try:
    from dbus_fast import AuthError, BusType, DBusError, Message, MessageType, Variant
    from dbus_fast.aio import MessageBus
except ImportError as missing:
    raise ConfigError("Bluetooth needs an extra: pip install 'edge-sdk[bluetooth]'") from missing

BLUEZ = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
PROPERTIES = "org.freedesktop.DBus.Properties"
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """A Bluetooth adapter as BlueZ tells of it; `central`: it can hear Bluetooth LE beacons."""

    name: str
    powered: bool
    central: bool
    discovering: bool


async def adapters() -> list[Adapter]:
    """The adapters of this machine, by name. Raises RadioError (denied, no_service, failed)."""
    async with _bus() as bus:
        body = await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    found: dict[str, dict[str, dict[str, Variant]]] = body[0]
    return sorted(
        (
            Adapter(
                name=path.rpartition("/")[2],
                powered=_value(interfaces[ADAPTER], "Powered", False),
                central="central" in _value(interfaces[ADAPTER], "Roles", []),
                discovering=_value(interfaces[ADAPTER], "Discovering", False),
            )
            for path, interfaces in found.items()
            if ADAPTER in interfaces
        ),
        key=lambda adapter: adapter.name,
    )


async def powered(adapter: str) -> bool:
    """Whether an adapter is switched on. Raises RadioError."""
    async with _bus() as bus:
        asked = ("ss", [ADAPTER, "Powered"])
        answer = await _call(bus, f"/org/bluez/{adapter}", PROPERTIES, "Get", asked)
    return bool(answer[0].value)


async def power(adapter: str, on: bool) -> None:
    """Switch an adapter on or off. Raises RadioError."""
    value = ("ssv", [ADAPTER, "Powered", Variant("b", on)])
    async with _bus() as bus:
        await _call(bus, f"/org/bluez/{adapter}", PROPERTIES, "Set", value)


def _value(properties: dict[str, Variant], name: str, default: Any) -> Any:
    return properties[name].value if name in properties else default


@asynccontextmanager
async def _bus() -> AsyncIterator[MessageBus]:
    bus = MessageBus(bus_type=BusType.SYSTEM, auth_timeout=_ANSWER_S)
    try:
        await bus.connect()
    except AuthError:
        raise RadioError(trouble.DENIED, "the system's D-Bus does not let this user in") from None
    except (OSError, EOFError, DBusError, ValueError) as error:
        raise RadioError(trouble.NO_SERVICE, f"no system D-Bus ({type(error).__name__})") from None
    try:
        yield bus
    finally:
        bus.disconnect()
        # What closes the socket is called by the loop; the bus must not outlive its question. Of a
        # bus that has hung up before, this raises why.
        with suppress(OSError, EOFError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _call(
    bus: MessageBus,
    path: str,
    interface: str,
    member: str,
    arguments: tuple[str, list[Any]] = ("", []),
) -> list[Any]:
    message = Message(
        destination=BLUEZ,
        path=path,
        interface=interface,
        member=member,
        signature=arguments[0],
        body=arguments[1],
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            reply = await bus.call(message)
    except TimeoutError:
        raise RadioError(
            trouble.NO_SERVICE, f"BlueZ did not answer {member} in {_ANSWER_S:.0f} s"
        ) from None
    except (OSError, EOFError) as error:
        raise RadioError(
            trouble.NO_SERVICE, f"the system's D-Bus hung up ({type(error).__name__})"
        ) from None
    if reply.message_type is MessageType.ERROR:
        name = reply.error_name or ""
        raise RadioError(
            trouble.OF_DBUS_ERROR.get(name, trouble.FAILED), f"BlueZ refuses {member}: {name}"
        )
    answer: list[Any] = reply.body
    return answer
