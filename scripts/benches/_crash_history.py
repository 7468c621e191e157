"""What a workload was promised at each point of its disk's journal, and what a crash left of it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edge_sdk.adapters.sqlite import OpenConnection
from edge_sdk.key_slots import OpenSlots
from simulators.disk import Disk

# What must survive: each promised thing under its name, as (what it is, which one).
State = Mapping[tuple[str, Hashable], object]


@dataclass(slots=True)
class History:
    """Promises, each with the point of the journal from which on it was given."""

    disk: Disk
    promises: list[tuple[int, State]] = field(default_factory=lambda: [(0, {})])
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def promise(self, state: State) -> None:
        """What was just committed: from here on a crash must leave this."""
        self.promises.append((len(self.disk.journal), state))

    def epoch_opened(self, number: int) -> None:
        """Keys of this epoch may have been used from here on."""
        self.epochs.append((len(self.disk.journal), number))

    def at(self, point: int) -> tuple[State, State]:
        """What was promised by then, and what a commit under way was about to make of it."""
        number = max(n for n, (given, _) in enumerate(self.promises) if given <= point)
        following = self.promises[min(number + 1, len(self.promises) - 1)]
        return self.promises[number][1], following[1]

    def newest_epoch(self, point: int) -> int:
        """The newest epoch whose keys may have been used by then; -1: none."""
        return max((number for given, number in self.epochs if given <= point), default=-1)


@dataclass(slots=True)
class Found:
    """What the product found on the disk after a crash, and how it went on."""

    state: State = field(default_factory=dict)
    epoch: int | None = None
    corrupt: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one crash did; empty texts: nothing."""

    lost: str = ""
    corrupt: str = ""
    key_reuse: str = ""
    wrong: str = ""

    def __bool__(self) -> bool:
        return bool(self.lost or self.corrupt or self.key_reuse or self.wrong)


class Subject(Protocol):
    """A part of the product that promises durability."""

    name: str

    def enrol(self, home: Path) -> None:
        """Make what is there before the first start; it is taken to be safe."""
        ...

    def run(self, history: History, opener: OpenConnection, slots: OpenSlots, seed: int) -> None:
        """The workload, on the history's disk through these two."""
        ...

    def recover(self, home: Path, known: State) -> Found:
        """What the plain product finds in `home` of what is `known`, and whether it can go on."""
        ...


def judge(subject: Subject, history: History, point: int, home: Path) -> Verdict:
    """Let the product recover from what a crash at `point` left in `home`."""
    before, after = history.at(point)
    try:
        found = subject.recover(home, {**before, **after})
    except Exception as error:  # noqa: BLE001  a bug that a crash brings out is what is looked for
        return Verdict(wrong=f"{type(error).__name__}: {error}")
    if found.corrupt:
        return Verdict(corrupt=found.corrupt)
    newest = history.newest_epoch(point)
    reused = found.epoch is not None and found.epoch <= newest
    lost = _lost(before, after, found.state)
    return Verdict(
        lost=lost,
        key_reuse=f"epoch {found.epoch} opened after {newest}" if reused else "",
        wrong=found.wrong or ("" if lost else _mixed(before, after, found.state)),
    )


def _lost(before: State, after: State, found: State) -> str:
    """What was promised, and is neither there nor what the commit under way made of it."""
    missing = [
        name
        for name, value in before.items()
        if found.get(name) not in (value, after.get(name))  # None: not there
    ]
    return f"{len(missing)} promised, first {missing[0]}" if missing else ""


def _mixed(before: State, after: State, found: State) -> str:
    """A commit happens as a whole or not at all."""
    return "" if found in (before, after) else "neither the state before a commit nor the one after"
