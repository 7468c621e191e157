"""A GNSS receiver on a serial line: where this machine is on the globe, fix by fix."""

from typing import Self

from edge_sdk.sources import nmea
from edge_sdk.sources.framing import Lines
from edge_sdk.sources.nmea import Fix, Sentences
from edge_sdk.sources.serial_line import Port, SerialLine


class Gnss:
    """`async with Gnss(Port("/dev/ttyACM0", silence_s=10)) as gnss`, then `async for fix in gnss`.

    A receiver talks every second, so its port should have a `silence_s`. Entering raises
    ConfigError where an extra is missing. counts: those of `nmea.Sentences` and of the line.
    """

    def __init__(self, port: Port, *, max_waiting: int = 64) -> None:
        self.line = SerialLine(port, Lines(nmea.MAX_SENTENCE_BYTES), max_waiting=max_waiting)
        self._sentences = Sentences()

    @property
    def counts(self) -> dict[str, int]:
        return {**self.line.counts, **self._sentences.counts}

    async def __aenter__(self) -> Self:
        nmea.need_pynmeagps()
        await self.line.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.line.__aexit__(*exc_info)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Fix:
        while True:
            fix = self._sentences.line(await anext(self.line))
            if fix is not None:
                return fix
