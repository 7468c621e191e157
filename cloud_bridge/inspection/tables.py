"""Text set in columns and lines that fit a terminal."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Numbers stand to the `right`.

    `drop`: where the table is too wide, the column with the greatest goes first; 0: it stays. One
    that may go also goes where it has nothing to tell: all its cells are empty.
    """

    title: str
    cells: Sequence[str]
    right: bool = False
    drop: int = 0

    @property
    def width(self) -> int:
        return max(len(self.title), *map(len, self.cells))


def table(columns: Sequence[Column], width: int) -> tuple[list[str], list[str]]:
    """(its lines, titles of the columns for which there was no room)."""
    shown = [c for c in columns if not c.drop or any(cell for cell in c.cells)]
    dropped: list[str] = []
    while sum(c.width + len(_GAP) for c in shown) - len(_GAP) > width:
        last = max(shown, key=lambda c: c.drop)
        if not last.drop:
            break
        shown.remove(last)
        dropped.append(last.title)
    rows = zip(*([c.title, *c.cells] for c in shown), strict=True)
    return [_row(shown, row) for row in rows], dropped


def _row(columns: Sequence[Column], cells: Sequence[str]) -> str:
    set_ = [
        cell.rjust(column.width) if column.right else cell.ljust(column.width)
        for column, cell in zip(columns, cells, strict=True)
    ]
    return _GAP.join(set_).rstrip()


def cut(text: str, most: int) -> str:
    """A text of at most so many characters, none of which moves the cursor."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def paragraph(first: str, text: str, width: int) -> list[str]:
    """`text` behind `first`, wrapped below where it began."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
        break_long_words=False,
    ) or [first.rstrip()]
