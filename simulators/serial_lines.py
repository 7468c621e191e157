"""Serial devices without hardware: a real pseudo-terminal for each, which can be unplugged.

A device is a stream of `Sent`: bytes, the pause before them, and what a right reader makes of them.
The same seed sends the same. Faults are part of the stream: garbage, half and over-long lines,
wrong checksums, a receiver that sees no sky.
"""

import asyncio
import math
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge_sdk.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sent:
    """What a device sends after a pause; `means` is None where nothing can be made of it.

    means  of a scanner the code in its normal form, of a receiver "latitude,longitude" where it
           really is, of a counter "entered,left" since the line before
    """

    pause_s: float
    data: bytes
    means: str | None = None


class PseudoPort:
    """A serial port at a path of its own, with a device behind it, plugged in by `with`.

    `path` is a link, as /dev/serial/by-id has them; plugged in again it leads to another terminal.
    What nobody reads is lost once the terminal's buffer is full, as on a wire. Raises ConfigError
    where the system has no pseudo-terminals.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device = self._port = -1

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.unplug()

    def plug(self) -> None:
        if not hasattr(os, "openpty"):
            raise ConfigError("this system has no pseudo-terminals; try Linux or macOS")
        import tty  # noqa: PLC0415  Windows has none

        self.unplug()
        if self.path.exists() and not self.path.is_symlink():
            raise ConfigError(f"{self.path}: is in the way; name a path that is free")
        device, port = os.openpty()
        beside = self.path.with_name(self.path.name + ".new")
        try:
            beside.symlink_to(os.ttyname(port))
            beside.replace(self.path)
        except OSError as error:
            os.close(device)
            os.close(port)
            raise ConfigError(f"{self.path}: cannot be made ({error.strerror})") from None
        tty.setraw(port)  # or what is sent before somebody opens it would be echoed
        os.set_blocking(device, False)
        self._device, self._port = device, port

    def unplug(self) -> None:
        if self._device < 0:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._port)
        os.close(self._device)
        self._device = self._port = -1

    def send(self, data: bytes) -> int:
        """How many of these bytes went out; none while it is unplugged."""
        if self._device < 0:
            return 0
        try:
            return os.write(self._device, data)
        except BlockingIOError:
            return 0

    def heard(self) -> bytes:
        """What was written to the port since it was last asked; nothing while it is unplugged."""
        if self._device < 0:
            return b""
        try:
            return os.read(self._device, 65_536)
        except BlockingIOError:
            return b""


_PATIENCE = 200  # attempts to send to a port whose buffer is full


async def play(port: PseudoPort, stream: Iterable[Sent], speed: float = 1.0) -> list[str]:
    """Send a stream; the list of what it means, in order. What nobody reads in time is lost."""
    meant = []
    for sent in stream:
        await asyncio.sleep(sent.pause_s / speed)
        data, patience = sent.data, _PATIENCE
        while data and patience:
            count = port.send(data[:1024])
            data = data[count:]
            patience = _PATIENCE if count else patience - 1
            await asyncio.sleep(0.002)
        if sent.means is not None:
            meant.append(sent.means)
    return meant


# A scanner

_PRODUCTS = ("9521234543213", "9521234500018", "9521101531008", "9521141123454")
_GOOD = (
    ("]E0{ean}\r\n", "{ean}"),
    ("]C10109521234543213\x1d10{lot}\r\n", "(01)09521234543213(10){lot}"),
    ("]d2010952123454321310{lot}\x1d21{lot}7\r\n", "(01)09521234543213(10){lot}(21){lot}7"),
    ("]e00109521234543213\r\n", "9521234543213"),
    ("]Q1https://id.example/01/09521234543213/10/{lot}\r\n", "(01)09521234543213(10){lot}"),
    ("]Q1loyalty:{lot}\r\n", "loyalty:{lot}"),
    ("]Q1https://shop.example/lease/{lot}\r\n", "https://shop.example/lease/{lot}"),
    ("{ean}\r", "{ean}"),
)
_BAD = (
    b"]E09521234543210\r\n",  # a wrong check digit
    b"]C1010952123454321010AB\r\n",  # a wrong check digit within GS1 data
    b"]Q1\xff\xfe\x80\r\n",  # no UTF-8
    b"]Q1\x1b[2Jrm -rf\x00\r\n",  # control bytes
    b"A" * 8192 + b"\r\n",
    b"]Q\r\n",
    "]Q1pay \u202eecnav\r\n".encode(),  # reads backwards on a screen
)


def scanner(seed: int, count: int, faults: float = 0.25) -> Iterator[Sent]:
    """Codes every second or so: products, cards, leases; doubles, garbage and hostile ones."""
    dice = random.Random(seed)
    for number in range(count):
        if dice.random() < faults:
            yield Sent(0.3, dice.choice(_BAD))
        line, means = dice.choice(_GOOD)
        words = {"ean": dice.choice(_PRODUCTS), "lot": f"{seed}x{number}"}
        data = line.format(**words).encode()
        yield Sent(dice.uniform(1.2, 2.0), data, means.format(**words))
        if dice.random() < faults:  # held before the scanner for a moment more
            yield Sent(0.2, data)


# A GNSS receiver

Place = tuple[float, float]
STORE: Place = (48.8706, 2.3317)
_METRES_PER_DEGREE = 111_195.0
# Metres north and east of the store, and how long to stay there.
WALK = ((-400.0, 0.0, 5.0), (0.0, 0.0, 120.0), (60.0, 20.0, 60.0), (0.0, 500.0, 120.0))


def gnss(
    seed: int,
    walk: Iterable[tuple[float, float, float]] = WALK,
    *,
    store: Place = STORE,
    speed_m_s: float = 1.4,
    error_m: float = 4.0,
    faults: float = 0.1,
) -> Iterator[Sent]:
    """One second after the other of a walk: GGA and RMC, now and then a bad sentence.

    The first three seconds see no sky. The receiver's errors wander, as real ones do.
    """
    dice = random.Random(seed)
    north_error = east_error = 0.0
    for second, (north_m, east_m) in enumerate(_seconds(walk, speed_m_s)):
        keep = math.exp(-1 / 20)
        fresh = error_m * math.sqrt(1 - keep * keep)
        north_error = keep * north_error + dice.gauss(0, fresh)
        east_error = keep * east_error + dice.gauss(0, fresh)
        truth = _place(store, north_m, east_m)
        shown = _place(store, north_m + north_error, east_m + east_error)
        clock = f"{9 + second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}.00"
        if second < 3:
            yield Sent(1.0, nmea(f"GNGGA,{clock},,,,,0,00,99.99,,,,,,"))
            yield Sent(0.0, nmea(f"GNRMC,{clock},V,,,,,,,050926,,,N"))
            continue
        if dice.random() < faults:
            yield Sent(0.0, _bad_sentence(dice, clock, shown))
        hdop = error_m / 5.0
        at = _coordinates(shown)
        gga = nmea(f"GNGGA,{clock},{at},1,09,{hdop:.2f},35.0,M,47.0,M,,")
        # A receiver whose week has run over is 1,024 weeks back, and in the right place.
        day = "200107" if dice.random() < faults else "050926"
        rmc = nmea(f"GNRMC,{clock},A,{at},2.7,90.0,{day},,,A")
        yield Sent(1.0, gga + rmc, f"{truth[0]:.7f},{truth[1]:.7f}")


def nmea(content: str) -> bytes:
    """A sentence with its checksum."""
    checksum = 0
    for byte in content.encode():
        checksum ^= byte
    return f"${content}*{checksum:02X}\r\n".encode()


def _bad_sentence(dice: random.Random, clock: str, place: Place) -> bytes:
    elsewhere = (place[0] + 0.1, place[1])  # whoever takes it is 11 km off
    good = nmea(f"GNGGA,{clock},{_coordinates(elsewhere)},1,09,0.80,35.0,M,47.0,M,,")
    at = dice.randrange(10, len(good) - 6)
    return dice.choice(
        (
            good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],  # a flipped bit
            good[:at] + b"\r\n",  # half
            good[:-4] + b"00\r\n" if good[-4:-2] != b"00" else good[:-4] + b"01\r\n",
            bytes(dice.randrange(256) for _ in range(40)) + b"\r\n",
        )
    )


def _seconds(
    walk: Iterable[tuple[float, float, float]], speed_m_s: float
) -> Iterator[tuple[float, float]]:
    """Metres north and east, second by second."""
    here: tuple[float, float] | None = None
    for north_m, east_m, stay_s in walk:
        if here is not None:
            steps = max(1, round(math.dist(here, (north_m, east_m)) / speed_m_s))
            for step in range(1, steps):
                part = step / steps
                yield here[0] + part * (north_m - here[0]), here[1] + part * (east_m - here[1])
        here = (north_m, east_m)
        for _ in range(max(1, round(stay_s))):
            yield here


def _place(store: Place, north_m: float, east_m: float) -> Place:
    per_degree_east = _METRES_PER_DEGREE * math.cos(math.radians(store[0]))
    return store[0] + north_m / _METRES_PER_DEGREE, store[1] + east_m / per_degree_east


def _coordinates(place: Place) -> str:
    """As NMEA has them: degrees and minutes in one number."""
    parts = []
    for degrees, width, letters in ((place[0], 2, "NS"), (place[1], 3, "EW")):
        whole, rest = divmod(abs(degrees), 1)
        parts.append(f"{int(whole):0{width}d}{rest * 60:08.5f},{letters[degrees < 0]}")
    return ",".join(parts)


# A door counter

COUNTER_MAPPING = """
# A door counter that tells its running totals every few seconds, and a sign of life between.
[[line]]
name = "totals"
pattern = 'IN (?P<in>\\d+) OUT (?P<out>\\d+)'
type = "count"
[line.fields]
counter = "door-1"
zone = "entrance"
window_ms = { elapsed = true }
entered = { from = "in", total = true }
left = { from = "out", total = true }

[[line]]
pattern = 'OK .*'
ignore = true
"""


def counter(seed: int, count: int, faults: float = 0.1) -> Iterator[Sent]:
    """Running totals every five seconds; now and then garbage, or a restart from nought."""
    dice = random.Random(seed)
    total_in = total_out = 0
    for number in range(count):
        entered, left = dice.randrange(4), dice.randrange(3)
        if number and dice.random() < faults / 2:
            total_in = total_out = 0
        total_in += entered
        total_out += left
        if dice.random() < faults:
            garbage = bytes(dice.randrange(128, 256) for _ in range(20))
            yield Sent(0.0, dice.choice((garbage + b"\r\n", b"IN 1x OUT\r\n", b"IN 99999\r\n")))
        means = f"{entered},{left}" if number else None
        yield Sent(5.0, f"IN {total_in} OUT {total_out}\r\n".encode(), means)
        yield Sent(0.0, b"OK battery 87%\r\n")
