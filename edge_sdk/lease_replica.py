"""The bridge's leases beside a store's telephone line: which number is lent by which lease.

Who holds a number is not in it. It is kept on disk, so that a gateway that starts while the bridge
is away still knows what was lent.
"""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

FILE_NAME = "leases.json"
MOST = 200_000


class Held(NamedTuple):
    """A lease of a number."""

    lease: str
    pool: str
    kind: str
    until_ms: int


class LeaseReplica:
    """`take` what the bridge's stream tells; `changes` are for the proxy."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME
        self._held: dict[str, Held] = {}
        self._numbers: dict[str, str] = {}  # lease -> number
        self._before: set[str] | None = None  # numbers that the snapshot has yet to confirm
        self._changed: dict[str, str] = {}  # number -> lease, or ""
        self._is_dirty = False

    def __len__(self) -> int:
        return len(self._held)

    def find(self, number: str) -> Held | None:
        """Who was lent it last, as far as is known."""
        return self._held.get(number)

    def take(self, told: object) -> None:
        """An item of the stream; None: it begins anew."""
        if told is None:
            self._before = set(self._held)
        elif not isinstance(told, dict):
            return
        elif "lease" in told:
            self._lease(told["lease"])
        elif "ended" in told:
            self._end(str(told["ended"]))
        elif "snapshot" in told and self._before is not None:
            for number in self._before:
                self._end(self._held[number].lease)
            self._before = None

    def _lease(self, told: object) -> None:
        if not isinstance(told, dict):
            return
        try:
            number = told["number"]
            held = Held(told["id"], told["pool"], told["kind"], int(told["until_ms"]))
        except (KeyError, TypeError, ValueError):
            return
        words = (number, held.lease, held.pool, held.kind)
        if not all(isinstance(w, str) and w and not set(w) & set("=;|\n\r") for w in words):
            return
        if self._before is not None:
            self._before.discard(number)
        known = self._held.get(number)
        if known is None and len(self._held) >= MOST:
            return
        if known is None or known.lease != held.lease:
            if known is not None:
                self._numbers.pop(known.lease, None)
            self._changed[number] = held.lease
        self._held[number] = held
        self._numbers[held.lease] = number
        self._is_dirty = True

    def _end(self, lease: str) -> None:
        number = self._numbers.pop(lease, None)
        if number is not None:
            del self._held[number]
            self._changed[number] = ""
            self._is_dirty = True

    def changes(self, a_message: int = 100) -> Iterator[bytes]:
        """What the proxy does not know yet, as messages of `calls/sip/leases`."""
        pairs = [f"{number}={lease};" for number, lease in self._changed.items()]
        self._changed = {}
        for at in range(0, len(pairs), a_message):
            yield "".join(pairs[at : at + a_message]).encode()

    def tell_all(self) -> None:
        """The proxy knows nothing any more."""
        self._changed = {number: held.lease for number, held in self._held.items()}

    def load(self) -> None:
        """Know what was known; a file that cannot be read is told, and counts as none."""
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            for number, row in rows.items():
                self._lease({"number": number, **dict(zip(_FIELDS, row, strict=True))})
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError, TypeError) as error:
            log.warning("%s: not read (%s); the bridge will tell", self._path, type(error).__name__)

    def save(self) -> None:
        """Keep what is known, if it has changed. Raises OSError."""
        if not self._is_dirty:
            return
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(self._held, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._is_dirty = False


_FIELDS = ("id", "pool", "kind", "until_ms")
