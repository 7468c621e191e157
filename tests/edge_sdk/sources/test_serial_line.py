"""A serial line at real pseudo-terminals: what is read, what is lost, and when it comes back."""

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.errors import ConfigError, SourceError
from edge_sdk.sources import serial_line
from edge_sdk.sources.framing import Chunks, Lines
from edge_sdk.sources.serial_line import Port, SerialLine
from simulators.serial_lines import PseudoPort
from tests.edge_sdk.sources.waiting import until


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PseudoPort]:
    with PseudoPort(tmp_path / "device") as device:
        yield device


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(serial_line, "_MOST_DELAY_S", 0.05)
    monkeypatch.setattr(serial_line, "_LOOK_S", 0.02)
    monkeypatch.setattr(serial_line, "_STEADY_S", 0.0)


async def counted(line: SerialLine[Any], name: str, count: int = 1) -> None:
    await until(lambda: line.counts[name] >= count)


async def opened(device: PseudoPort, line: SerialLine[Any], count: int = 1) -> None:
    """What is sent while a port is being opened may be thrown away, as with a real one."""
    await counted(line, "opened", count)


def port(device: PseudoPort, **settings: Any) -> Port:
    return Port(str(device.path), **settings)


def test_lines_come_in_order_and_end_when_the_line_is_left(device: PseudoPort) -> None:
    async def run() -> list[str]:
        line = SerialLine(port(device), Lines())
        async with line:
            await opened(device, line)
            device.send(b"one\r\ntwo\r\nthr")
            first = await anext(line)
            device.send(b"ee\r\n")
            await counted(line, "messages", 3)
            assert line.problem is None
        rest = [text async for text in line]
        assert line.problem is not None
        assert line.counts["bytes"] == 17
        return [first, *rest]

    assert asyncio.run(run()) == ["one", "two", "three"]


def test_who_waits_is_told_that_the_line_was_left(device: PseudoPort) -> None:
    async def run() -> None:
        line = SerialLine(port(device), Lines())
        async with line:
            waiting = asyncio.create_task(anext(line, None))
            await opened(device, line)
        assert await waiting is None

    asyncio.run(run())


def test_a_reader_that_fails_is_told_and_begins_again(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    class Brittle(Lines):
        def feed(self, data: bytes) -> list[str]:
            if b"!" in data:
                raise ZeroDivisionError
            return super().feed(data)

    async def run() -> str:
        line = SerialLine(port(device), Brittle())
        async with line:
            await opened(device, line)
            device.send(b"!\r\n")
            await opened(device, line, 2)
            device.send(b"one\r\n")
            return await anext(line)

    assert asyncio.run(run()) == "one"
    assert "failed" in caplog.text


def test_a_line_can_be_entered_again(device: PseudoPort) -> None:
    async def run() -> None:
        line = SerialLine(port(device), Lines())
        for number in (1, 2):
            async with line:
                await opened(device, line, number)
                device.send(b"again\r\n")
                assert await anext(line) == "again"
        assert line.counts["messages"] == 2

    asyncio.run(run())


def test_unplugged_and_plugged_in_again(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async with SerialLine(port(device), Lines()) as line:
            for number in (1, 2, 3):
                await opened(device, line, number)
                device.send(b"good\r\nhal")
                assert await anext(line) == "good"
                await counted(line, "bytes", 9 * number)
                device.unplug()
                await counted(line, "lost", number)
                await asyncio.sleep(0.1)  # several attempts to open what is not there
                assert line.problem is not None
                device.plug()
            await opened(device, line, 4)
            device.send(b"back\r\n")
            assert await anext(line) == "back"
            assert line.problem is None
            assert line.counts["half"] == 3

    asyncio.run(run())
    said = [record.levelname for record in caplog.records if "serial line" in record.message]
    assert said == ["WARNING", "INFO"] * 3
    assert caplog.text.count("is back") == 3


def test_a_device_that_is_not_there_yet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    device = PseudoPort(tmp_path / "late")

    async def run() -> None:
        async with SerialLine(port(device), Lines()) as line:
            await asyncio.sleep(0.1)
            assert line.problem is not None
            assert "plugged in" in line.problem
            with pytest.raises(SourceError, match="plugged in"):
                await line.write(b"AT\r")
            with device:
                await opened(device, line)
                device.send(b"here\r\n")
                assert await anext(line) == "here"

    asyncio.run(run())
    assert sum("plugged in" in record.getMessage() for record in caplog.records) == 1


def test_a_path_that_leads_to_another_device_is_followed(tmp_path: Path) -> None:
    # The first device does not hang up: some drivers never say that theirs went.
    with PseudoPort(tmp_path / "one") as one, PseudoPort(tmp_path / "two") as two:
        link = tmp_path / "by-id"
        link.symlink_to(one.path)

        async def run() -> None:
            async with SerialLine(Port(str(link)), Lines()) as line:
                await opened(one, line)
                beside = tmp_path / "beside"
                beside.symlink_to(two.path)
                beside.replace(link)
                await opened(two, line, 2)
                two.send(b"two\r\n")
                assert await anext(line) == "two"
                assert line.counts["lost"] == 1

        asyncio.run(run())


def test_a_port_that_should_talk_and_does_not_is_opened_anew(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        settings = port(device, silence_s=1.0)
        async with SerialLine(settings, Lines()) as line:
            await counted(line, "silent")
            await opened(device, line, 2)
            device.send(b"awake\r\n")
            assert await anext(line) == "awake"

    asyncio.run(run())
    assert "said nothing for 1 s" in caplog.text


def test_a_full_queue_drops_the_oldest_and_counts(device: PseudoPort) -> None:
    async def run() -> None:
        async with SerialLine(port(device), Lines(), max_waiting=3) as line:
            await opened(device, line)
            device.send(b"".join(b"%d\r\n" % number for number in range(10)))
            await counted(line, "messages", 10)
            assert [await anext(line) for _ in range(3)] == ["7", "8", "9"]
            assert line.counts["dropped"] == 7

    asyncio.run(run())


def test_nothing_but_garbage_is_a_hint_at_the_baud_rate(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with SerialLine(port(device, baud=115200), Lines()) as line:
            await opened(device, line)
            for number in range(30):
                device.send(b"\xf8\x00\x80\xfe\r\n")
                await counted(line, "garbled", number + 1)
            device.send(b"at last\r\n")
            assert await anext(line) == "at last"

    asyncio.run(run())
    assert [r.getMessage() for r in caplog.records if "115200" in r.getMessage()] != []
    assert caplog.text.count("right baud rate") == 1


def test_bytes_as_they_come_and_back(device: PseudoPort) -> None:
    async def run() -> None:
        async with SerialLine(port(device), Chunks()) as line:
            await opened(device, line)
            await line.write(b"AT\r")
            heard = b""
            while len(heard) < 3:
                heard += device.heard()
            assert heard == b"AT\r"
            device.send(b"\x10R\x00\xff")
            chunks = b""
            async for chunk in line:
                chunks += chunk
                if len(chunks) == 4:
                    break
            assert chunks == b"\x10R\x00\xff"

    asyncio.run(run())


def test_a_port_that_another_uses_is_waited_for(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        second = SerialLine(port(device), Lines())
        async with SerialLine(port(device), Lines()) as first:
            await opened(device, first)
            await second.__aenter__()
            await asyncio.sleep(0.1)
            assert second.problem == "another program uses it"
        await opened(device, second)
        await second.__aexit__()

    asyncio.run(run())
    assert caplog.text.count("another program uses it") == 1


def test_what_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")

    async def run(path: str) -> str:
        async with SerialLine(Port(path), Lines()) as line:
            await until(lambda: line.problem != "it was not opened yet")
            return str(line.problem)

    assert "not a serial port" in asyncio.run(run(str(tmp_path / "file")))
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert "not a serial port" in asyncio.run(run(os.devnull))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"path": ""}, "path"),
        ({"baud": 0}, "baud"),
        ({"data_bits": 9}, "data_bits"),
        ({"parity": "N"}, "parity"),
        ({"stop_bits": 3}, "stop_bits"),
        ({"flow": "hardware"}, "flow"),
        ({"silence_s": 0}, "silence_s"),
        ({"silence_s": float("nan")}, "silence_s"),
    ],
)
def test_settings_that_no_port_has(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Port(**{"path": "/dev/ttyUSB0", **wrong})


def test_the_ports_of_this_machine_are_there() -> None:
    for path in serial_line.ports():
        assert Path(path).exists() or os.name != "posix"


def test_without_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "serial", None)

    async def run() -> None:
        async with SerialLine(Port("/dev/ttyUSB0"), Lines()):
            pass

    with pytest.raises(ConfigError, match=r"edge-sdk\[serial\]"):
        asyncio.run(run())
    with pytest.raises(ConfigError, match=r"edge-sdk\[serial\]"):
        serial_line.ports()
