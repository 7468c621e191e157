"""A link that is paused reads nothing, and is otherwise as well as any."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_sdk.adapters.paho_link import Broker, PahoLink
from tests.journey.brokers import Mosquitto, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

WAIT_S = 60.0
WINDOW = 8
TOPIC = "a/b"


class Ear:
    """Hears; pauses at the message number `pause_at`, releases what it is told to."""

    def __init__(self, pause_at: int = 0, *, releases: bool = True) -> None:
        self.link: PahoLink | None = None
        self.ups = 0
        self.downs = 0
        self.heard: list[tuple[bytes, int]] = []
        self._pause_at = pause_at
        self._releases = releases

    def link_up(self, _window: int) -> None:
        self.ups += 1

    def link_down(self, _why: str) -> None:
        self.downs += 1

    def received(self, _topic: str, payload: bytes, mid: int) -> None:
        assert self.link is not None
        self.heard.append((payload, mid))
        if self._releases:
            self.link.release(mid)
        if len(self.heard) == self._pause_at:
            self.link.pause()

    def settled(self, mid: int, refusal: str | None) -> None: ...

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.heard]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for happens in callbacks
            await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(ear: Ear, url: str, window: int | None = WINDOW) -> AsyncIterator[PahoLink]:
    link = PahoLink(Broker.parse(url), "ear", ear, [TOPIC], max_delay_s=0.2, window=window)
    ear.link = link
    async with link:
        await until(lambda: ear.ups == 1)
        yield link


def say(broker: Mosquitto, *numbers: int, qos: int = 1) -> None:
    """Publish these; the broker has taken them when this returns."""
    mouth = paho.Client(CallbackAPIVersion.VERSION2, "mouth")
    mouth.connect("127.0.0.1", broker.port)
    mouth.loop_start()
    for number in numbers:
        mouth.publish(TOPIC, b"%d" % number, qos).wait_for_publish(WAIT_S)
    mouth.publish("elsewhere", b"", 1).wait_for_publish(WAIT_S)  # and so those of QoS 0 before it
    mouth.disconnect()
    mouth.loop_stop()


def numbers(*wanted: int) -> list[bytes]:
    return [b"%d" % number for number in wanted]


async def settle() -> None:
    """Let everything come that would."""
    await asyncio.sleep(0.3)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1])
def test_paused_it_reads_nothing_and_resumed_it_reads_all(protocol: str, qos: int) -> None:
    async def scenario(broker: Mosquitto) -> None:
        ear = Ear(pause_at=1)
        async with linked(ear, broker.url(protocol)) as link:
            await asyncio.to_thread(say, broker, 0, qos=qos)
            await until(lambda: ear.heard)
            link.pause()  # twice is once
            await asyncio.to_thread(say, broker, *range(1, 30), qos=qos)
            await settle()
            assert ear.payloads == numbers(0)
            assert link.publish("elsewhere", b"while paused") is not None
            link.resume()
            link.resume()
            await until(lambda: len(ear.heard) == 30)
            assert ear.payloads == numbers(*range(30))
            assert (ear.ups, ear.downs) == (1, 0)

    with mosquitto() as broker:
        asyncio.run(scenario(broker))


def test_what_is_not_released_holds_the_window_shut() -> None:
    async def scenario(broker: Mosquitto) -> None:
        ear = Ear(releases=False)
        async with linked(ear, broker.url("5")) as link:
            await asyncio.to_thread(say, broker, *range(3 * WINDOW))
            await until(lambda: len(ear.heard) >= WINDOW)
            await settle()
            assert ear.payloads == numbers(*range(WINDOW))
            # Once released to, mosquitto 2.0.11 minds no window any more: so there are pauses, too.
            for _, mid in ear.heard[:WINDOW]:
                link.release(mid)
            await until(lambda: len(ear.heard) >= 2 * WINDOW)
            assert ear.payloads[: 2 * WINDOW] == numbers(*range(2 * WINDOW))

    with mosquitto() as broker:
        asyncio.run(scenario(broker))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_of_qos_0_is_never_acknowledged(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged: list[int] = []
    ack = paho.Client.ack

    def remembered(client: paho.Client, mid: int, qos: int) -> MQTTErrorCode:
        acknowledged.append(mid)
        return ack(client, mid, qos)

    monkeypatch.setattr(paho.Client, "ack", remembered)

    async def scenario(broker: Mosquitto) -> None:
        ear = Ear()
        async with linked(ear, broker.url(protocol)):
            await asyncio.to_thread(say, broker, 0, 1, qos=0)
            await asyncio.to_thread(say, broker, 2, qos=1)
            await until(lambda: len(ear.heard) == 3)
            (_, first), (_, second), (_, third) = ear.heard
            assert (first, second) == (0, 0)
            assert acknowledged == [third]
            await settle()
            assert ear.downs == 0  # a PUBACK of 0 would end the connection

    with mosquitto() as broker:
        asyncio.run(scenario(broker))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_pause_does_not_outlive_its_connection(protocol: str) -> None:
    """The broker ends and starts meanwhile. Nobody is left paused for ever, nor hears twice."""

    async def scenario(broker: Mosquitto) -> None:
        ear = Ear(pause_at=1)
        async with linked(ear, broker.url(protocol)) as link:
            await asyncio.to_thread(say, broker, 0)
            await until(lambda: ear.heard)
            await asyncio.to_thread(say, broker, 1, 2)
            broker.stop()
            await asyncio.to_thread(broker.start)
            await settle()
            assert ear.payloads == numbers(0)
            # A write finds out; a lane writes acknowledgements all the time.
            async with asyncio.timeout(WAIT_S):
                while ear.downs == 0:
                    link.publish("elsewhere", b"")
                    await asyncio.sleep(0.02)
            await until(lambda: ear.ups == 2)
            await asyncio.to_thread(say, broker, 3)
            await until(lambda: ear.payloads[-1:] == numbers(3))
            link.resume()  # what its owner would still do: nothing
            await asyncio.to_thread(say, broker, 4)
            await until(lambda: ear.payloads[-1:] == numbers(4))
            # 1 and 2 went with the broker: their devices would send them again.
            assert ear.payloads == numbers(0, 3, 4)

    with mosquitto() as broker:
        asyncio.run(scenario(broker))


def test_resumed_after_its_broker_went_it_connects_anew() -> None:
    """It had not noticed: it read nothing."""

    async def scenario(broker: Mosquitto) -> None:
        ear = Ear(pause_at=1)
        async with linked(ear, broker.url()) as link:
            await asyncio.to_thread(say, broker, 0)
            await until(lambda: ear.heard)
            broker.stop()
            await asyncio.to_thread(broker.start)
            await settle()
            assert (ear.ups, ear.downs, link.connected) == (1, 0, True)
            link.resume()
            await until(lambda: ear.ups == 2)
            assert ear.downs == 1
            await asyncio.to_thread(say, broker, 1)
            await until(lambda: ear.payloads == numbers(0, 1))

    with mosquitto() as broker:
        asyncio.run(scenario(broker))


def test_a_pause_longer_than_the_keepalive_costs_a_connection_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is read, also no answer to a ping: so the link connects anew, and is not paused."""
    monkeypatch.setattr("edge_sdk.adapters.paho_link.KEEPALIVE_S", 1)

    async def scenario(broker: Mosquitto) -> None:
        ear = Ear(pause_at=1)
        async with linked(ear, broker.url()):
            await asyncio.to_thread(say, broker, 0)
            await until(lambda: ear.ups == 2)
            assert ear.downs == 1
            await asyncio.to_thread(say, broker, 1)
            await until(lambda: ear.payloads == numbers(0, 1))

    with mosquitto() as broker:
        asyncio.run(scenario(broker))
