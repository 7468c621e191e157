"""The broker that the bridge brings along: mosquitto where it is installed, else amqtt inside.

Neither keeps anything: what the bridge has not acknowledged, the devices send again. Both listen
on 127.0.0.1 alone and let everybody in: whoever needs more runs a broker and tells its address.
"""

import asyncio
import logging
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Protocol, Self

from cloud_bridge.errors import BridgeError
from edge_sdk.adapters.paho_link import Broker
from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
START_S = 10.0
FREE_S = 3.0

# mosquitto's defaults drop silently above 1,000 queued messages, whatever their size, and hold a
# connection to 20 that are not released yet. What is dropped above these limits comes again.
_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 256
max_queued_messages 100000
max_queued_bytes 268435456
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
"""

# Ends mosquitto when this process ends, even by kill -9: then the pipe on 3 ends.
_WATCHED = """
exec 3<&0
"$0" -c "$1" </dev/null & child=$!
{ cat <&3 >/dev/null; kill $child 2>/dev/null; } &
wait $child
"""


class OwnBroker(Protocol):
    """A broker of the bridge's own, or the address of another."""

    address: Broker
    speaks_v5: bool

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...


class ExternalBroker:
    """A broker that somebody else runs."""

    speaks_v5 = True

    def __init__(self, address: Broker) -> None:
        self.address = address

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Leave it alone."""


class Mosquitto:
    """A mosquitto as a child process, started again if it dies."""

    speaks_v5 = True

    def __init__(self, program: str, port: int, home: Path) -> None:
        self.address = Broker(HOST, port)
        self._program = program
        self._config = home / "mosquitto.conf"
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await _until_free(self.address)
        self._config.write_text(_MOSQUITTO.format(port=self.address.port))
        self._task = asyncio.create_task(self._keep_up(), name="mosquitto")
        try:
            await _answers(self.address)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_up(self) -> None:
        while True:
            child = await asyncio.create_subprocess_exec(
                "/bin/sh",
                *("-c", _WATCHED, self._program, str(self._config)),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the bridge, which then ends it
            )
            try:
                await child.wait()
                log.error("mosquitto ended with code %s; it is started again", child.returncode)
            finally:
                if child.stdin is not None:
                    child.stdin.close()
                await child.wait()
            await asyncio.sleep(1.0)


class Embedded:
    """amqtt inside this process: slower, MQTT 3.1.1 only, and needs nothing but Python."""

    speaks_v5 = False

    def __init__(self, port: int) -> None:
        self.address = Broker(HOST, port)
        self._broker: Any = None

    async def __aenter__(self) -> Self:
        from amqtt.broker import Broker as Amqtt  # noqa: PLC0415  slow to import, rarely needed

        await _until_free(self.address)
        listener = {"type": "tcp", "bind": f"{HOST}:{self.address.port}"}
        everybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        self._broker = Amqtt({"listeners": {"default": listener}, "plugins": everybody})
        await self._broker.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._broker.shutdown()


def choose(wish: str, port: int, home: Path) -> OwnBroker:
    """The broker for "auto", "embedded", "mosquitto" or an address; port 0: any free one.

    `home` is a folder for mosquitto's configuration.
    Raises ConfigError.
    """
    if "://" in wish:
        return ExternalBroker(Broker.parse(wish))
    if wish not in ("auto", "embedded", "mosquitto"):
        raise ConfigError("the broker is auto, embedded, mosquitto, or mqtt://host:port")
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if wish == "mosquitto" and program is None:
        raise ConfigError("mosquitto is not installed; --broker embedded needs nothing")
    port = port or _free_port()
    if wish == "embedded" or program is None:
        return Embedded(port)
    return Mosquitto(program, port, home)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _until_free(address: Broker) -> None:
    """Wait for a port that a bridge just killed may still hold. Raises BridgeError."""
    try:
        async with asyncio.timeout(FREE_S):
            while True:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind((address.host, address.port))
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        return
    except TimeoutError:
        raise BridgeError(f"{address} is taken; tell another --broker-port") from None


async def _answers(address: Broker) -> None:
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(address.host, address.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return
    except TimeoutError:
        raise BridgeError(f"mosquitto does not answer at {address}; see the log") from None
