"""docs/sources.md says what is so: its files can be read, its codes are a scanner's."""

import re
from pathlib import Path

from edge_sdk.fence_file import parse_fences
from edge_sdk.sources import barcodes, nmea
from edge_sdk.sources.framing import Lines
from edge_sdk.sources.line_device import Reader
from edge_sdk.sources.line_mapping import UNITS, parse_mapping
from edge_sdk.sources.serial_line import Port, SerialLine

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "sources.md").read_text()
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_its_files_can_be_read() -> None:
    fences, mapping = FILES
    assert [fence.name for fence in parse_fences(fences)] == ["store", "car-park"]
    reader = Reader(parse_mapping(mapping))
    assert reader.line("IN 1 OUT 2", 0) is None
    count = reader.line("IN 3 OUT 2", 60_000)
    assert count is not None
    assert (count.get("entered"), count.get("left"), count.get("window_ms")) == (2, 0, 60_000)
    order = reader.line("SALE 7 12,50 E CARD 4711", 0)
    assert order is not None
    assert order.get("value_minor") == 1250


def test_its_codes_are_what_a_scanner_makes_of_them() -> None:
    rows = re.findall(r"^\| `(\S+)`.*? \| `(.*?)` \| `(.*?)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for line, symbology, code in rows:
        assert barcodes.read(line.replace("<GS>", "\x1d")) == barcodes.Barcode(symbology, code)


def test_every_count_and_unit_is_told() -> None:
    counts = [*SerialLine(Port("x"), Lines()).counts, *barcodes.REFUSALS, *nmea.COUNTS]
    counts += Reader(parse_mapping(FILES[1])).counts
    for name in [*counts, *(unit for unit, _ in UNITS)]:
        assert re.search(rf"(?<![\w]){re.escape(name)}(?!\w)", PAGE), name
