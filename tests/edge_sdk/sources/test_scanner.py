"""A scanner at a pseudo-terminal: every code once, and all that is wrong counted."""

import asyncio
from pathlib import Path

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.sources.barcodes import Barcode
from edge_sdk.sources.scanner import Repeats, Scanner
from edge_sdk.sources.serial_line import Port
from edge_sdk.wire.touchpoint import TouchpointError
from simulators import serial_lines
from simulators.serial_lines import PseudoPort
from tests.edge_sdk.sources.waiting import until

A, B = Barcode("ean13", "9521234543213"), Barcode("qr", "loyalty:17")


def test_a_code_is_told_again_when_it_was_away_for_a_moment() -> None:
    repeats = Repeats(1.0)
    assert not repeats.again(A, 0.0)
    assert repeats.again(A, 0.9)
    assert not repeats.again(B, 1.0)
    assert repeats.again(A, 1.8)  # still there: each read counts
    assert not repeats.again(A, 2.9)
    assert not Repeats(0.0).again(A, 0.0)


def test_only_the_last_codes_are_remembered() -> None:
    repeats = Repeats(1000.0)
    for number in range(100):
        assert not repeats.again(Barcode("qr", str(number)), 0.0)
    assert len(repeats._last) == 32
    assert not repeats.again(Barcode("qr", "0"), 1.0)


async def opened(scanner: Scanner) -> None:
    await until(lambda: scanner.counts["opened"] > 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_good_code_once_and_in_order(tmp_path: Path, seed: int) -> None:
    async def run() -> None:
        with PseudoPort(tmp_path / "scanner") as device:
            scanner = Scanner(Port(str(device.path)), "till-1", repeat_s=0)
            async with scanner:
                await opened(scanner)
                meant = await serial_lines.play(device, serial_lines.scanner(seed, 60), 200.0)
                device.send(b"]Q1end\r\n")
                scans = []
                async for scan in scanner:
                    scans.append(scan)
                    if scan.get("code") == "end":
                        break
            assert {(scan.get("scanner"), scan.get("visitor")) for scan in scans} == {
                ("till-1", None)
            }
            # Nothing is suppressed here, so doubles come twice.
            codes = [scan.get("code") for scan in scans]
            assert without_doubles(codes) == without_doubles([*meant, "end"])
            assert len(codes) > len(meant) + 1
            counts = scanner.counts
            for reason in ("check_digit", "gs1", "garbled", "too_long", "prefix", "control"):
                assert counts[reason] > 0, reason
            assert counts["dropped"] == 0

    asyncio.run(run())


def without_doubles(codes: list[str]) -> list[str]:
    return [code for at, code in enumerate(codes) if at == 0 or codes[at - 1] != code]


def test_double_reads_are_suppressed_and_counted(tmp_path: Path) -> None:
    now_s = 0.0

    async def run() -> None:
        nonlocal now_s
        with PseudoPort(tmp_path / "scanner") as device:
            scanner = Scanner(Port(str(device.path)), "till-1", now_s=lambda: now_s)
            async with scanner:
                await opened(scanner)
                device.send(b"]Q1a\r\n]Q1a\r\n]Q1a\r\n]Q1b\r\n")
                assert [(await anext(scanner)).get("code") for _ in range(2)] == ["a", "b"]
                now_s = 5.0
                device.send(b"]Q1a\r\n")
                assert (await anext(scanner)).get("code") == "a"
                assert (scanner.counts["repeated"], scanner.counts["scans"]) == (2, 3)

    asyncio.run(run())


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="repeat_s"):
        Scanner(Port("/dev/ttyACM0"), "till-1", repeat_s=-1)
    with pytest.raises(TouchpointError, match="scanner"):
        Scanner(Port("/dev/ttyACM0"), 7)  # type: ignore[arg-type]
