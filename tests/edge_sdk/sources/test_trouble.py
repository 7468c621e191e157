"""One table of troubles: the docs tell the same as the log."""

from pathlib import Path

from edge_sdk.sources.trouble import OF_DBUS_ERROR, TROUBLES

PAGE = Path(__file__).parents[3] / "docs" / "bluetooth.md"


def test_the_docs_tell_of_each() -> None:
    page = PAGE.read_text()
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert set(TROUBLES) <= rows


def test_what_the_bus_says_is_one_of_them() -> None:
    assert set(OF_DBUS_ERROR.values()) <= set(TROUBLES)
