"""A D-Bus on a unix socket with one service behind it: what a client of the system's bus meets.

It is the bus and the service in one: it lets clients in (AUTH EXTERNAL), names them, keeps their
match rules, hands their calls to the service and its signals to whoever asked for such. Messages
are dbus-fast's, so both ends of the line agree on the bytes. Standard: D-Bus Specification 0.43.
"""

import asyncio
import contextlib
import io
import itertools
import struct
from collections.abc import Callable
from typing import Any

from dbus_fast import Message, MessageType
from dbus_fast._private.unmarshaller import Unmarshaller

BUS = "org.freedesktop.DBus"
ACCESS_DENIED = f"{BUS}.Error.AccessDenied"
UNKNOWN_METHOD = f"{BUS}.Error.UnknownMethod"
NO_OWNER = f"{BUS}.Error.NameHasNoOwner"

# A client that does not read is thrown out, as the real bus does it.
_MOST_UNREAD_BYTES = 64 << 20
_MOST_MESSAGE_BYTES = 1 << 20
_GUID = "0123456789abcdef0123456789abcdef"

SERIAL = struct.Struct("<I")
_SERIAL_AT = 8

Answer = Callable[["Client", Message], Message | None]


class Signal:
    """A signal's bytes, to be sent as often as one likes, and what match rules look at.

    `message` is little-endian; its serial is set anew each time. `arg0` is its first argument.
    `to` remembers who wanted it when the match rules were `as_of`.
    """

    __slots__ = ("about", "as_of", "message", "to")

    def __init__(self, message: Message, arg0: str = "") -> None:
        self.about = (message.interface or "", message.member or "", message.path or "", arg0)
        message.serial = 1
        self.message = bytearray(message._marshall(False))
        self.to: list[Client] = []
        self.as_of = -1


class Client:
    """One connection. `name` is its unique name on the bus, such as ":1.7"."""

    def __init__(
        self, name: str, writer: asyncio.StreamWriter, serials: "itertools.count[int]"
    ) -> None:
        self.name = name
        self.rules: list[dict[str, str]] = []
        self._writer = writer
        self._serials = serials

    def send(self, message: Message) -> None:
        """A call or an answer, to this client alone."""
        message.serial = next(self._serials)
        self.write(bytes(message._marshall(False)))

    def write(self, message: bytes) -> None:
        """Bytes of a whole message."""
        if self._writer.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(message)

    async def written(self) -> None:
        """Return when all of it has gone into the socket, or the client is gone."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def wants(self, interface: str, member: str, path: str, arg0: str = "") -> bool:
        """Whether one of its match rules is about such a signal."""
        return any(
            rule.get("type", "signal") == "signal"
            and rule.get("interface", interface) == interface
            and rule.get("member", member) == member
            and rule.get("path", path) == path
            and _within(path, rule.get("path_namespace", "/"))
            and (_within(arg0, rule["arg0path"]) if "arg0path" in rule else True)
            for rule in self.rules
        )


class Bus:
    """`async with Bus(path, service, answer, left) as bus`.

    service  the name that answers
    answer   is given each call that is meant for it, and what else clients send it
    left     is told of each client that is gone
    """

    def __init__(
        self, path: str, service: str, answer: Answer, left: Callable[[Client], None]
    ) -> None:
        self.clients: dict[Client, asyncio.StreamWriter] = {}
        self.service_runs = True
        self._path = path
        self._service = service
        self._answer = answer
        self._left = left
        self._named = 0
        self._rules = 0  # counts their changes
        self._serials = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Bus":
        self._server = await asyncio.start_unix_server(self._talk, self._path)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.hang_up()

    async def hang_up(self) -> None:
        """End every connection, as a bus that ends or is restarted; new ones are let in."""
        for writer in list(self.clients.values()):
            with contextlib.suppress(OSError):
                writer.write_eof()
        if self._talks:
            # Whoever is told that the line ends closes it; whoever does not is cut off.
            await asyncio.wait(self._talks, timeout=1)
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def signal(self, signal: "Signal") -> bool:
        """To every client with a match rule for it; whether there was one."""
        if signal.as_of != self._rules:
            signal.to = [client for client in self.clients if client.wants(*signal.about)]
            signal.as_of = self._rules
        if signal.to:
            SERIAL.pack_into(signal.message, _SERIAL_AT, next(self._serials))
            message = bytes(signal.message)
            for client in signal.to:
                client.write(message)
        return bool(signal.to)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self._named += 1
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits for all
        client = Client(f":1.{self._named}", writer, self._serials)
        try:
            await _let_in(reader, writer)
            self.clients[client] = writer
            while True:
                message = await _message(reader)
                message.sender = client.name
                reply = self._reply(client, message)
                if reply is not None:
                    client.send(reply)
        except (OSError, EOFError, ValueError):
            pass  # it hung up, or spoke no D-Bus
        finally:
            self.clients.pop(client, None)
            self._rules += 1
            self._left(client)
            writer.close()
            self._talks.discard(task)

    def _reply(self, client: Client, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return self._answer(client, message)
        if message.destination == BUS:
            self._rules += 1
            return _of_the_bus(client, message, self._service)
        if message.destination != self._service or not self.service_runs:
            return Message.new_error(
                message, f"{BUS}.Error.ServiceUnknown", "no such service on this bus"
            )
        return self._answer(client, message)


def _of_the_bus(client: Client, message: Message, service: str) -> Message:
    """What the bus itself answers."""
    match message.member, message.body:
        case "Hello", _:
            return Message.new_method_return(message, "s", [client.name])
        case "AddMatch", [str(rule)]:
            client.rules.append(_rule(rule))
            return Message.new_method_return(message)
        case "RemoveMatch", [str(rule)]:
            with contextlib.suppress(ValueError):
                client.rules.remove(_rule(rule))
            return Message.new_method_return(message)
        case "NameHasOwner", [name]:
            return Message.new_method_return(message, "b", [name in (BUS, service)])
        case "GetNameOwner", [name] if name == service:
            return Message.new_method_return(message, "s", [":1.0"])
        case "GetNameOwner", _:
            return Message.new_error(message, NO_OWNER, "nobody has this name")
    return Message.new_error(message, UNKNOWN_METHOD, "the bus has no such method")


async def _let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake: a zero byte, AUTH EXTERNAL, perhaps file descriptors (no), BEGIN."""
    if await reader.readexactly(1) != b"\0":
        raise ValueError("not a D-Bus client")
    while True:
        line = (await reader.readuntil(b"\r\n")).rstrip()
        if line == b"BEGIN":
            return
        if line.startswith(b"AUTH EXTERNAL"):
            writer.write(f"OK {_GUID}\r\n".encode())
        elif line == b"NEGOTIATE_UNIX_FD":
            writer.write(b"ERROR no descriptors here\r\n")
        else:
            writer.write(b"REJECTED EXTERNAL\r\n")


async def _message(reader: asyncio.StreamReader) -> Message:
    """The next whole message: a header of 16 bytes says how long it is."""
    head = await reader.readexactly(16)
    order = {ord("l"): "<", ord("B"): ">"}.get(head[0])
    if order is None:
        raise ValueError("neither byte order")
    body_bytes, _serial, fields_bytes = struct.unpack_from(f"{order}III", head, 4)
    rest_bytes = (fields_bytes + 7) // 8 * 8 + body_bytes
    if rest_bytes > _MOST_MESSAGE_BYTES:
        raise ValueError("too long")
    rest = await reader.readexactly(rest_bytes)
    stream: Any = io.BytesIO(head + rest)
    message = Unmarshaller(stream).unmarshall()
    if message is None:
        raise ValueError("not a message")
    return message


def _rule(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {key.strip(): value.strip().strip("'") for key, _, value in pairs}


def _within(path: str, namespace: str) -> bool:
    folder = namespace.rstrip("/")
    return path == folder or path.startswith(f"{folder}/") or namespace == "/"
