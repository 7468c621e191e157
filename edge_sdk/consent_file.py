"""What the owner of an app has allowed, kept beside its outbox: it outlives a kill, and fails shut.

A change is written before it is acted upon and once more when the bridge has been told, so that a
crash between the two tells it again instead of forgetting it.
"""

import json
import logging
import os
from pathlib import Path

from edge_sdk.errors import StorageError

log = logging.getLogger(__name__)

FILE_NAME = "consent.json"
MAX_PURPOSES = 64
_MAX_BYTES = 1 << 16


class ConsentFile:
    """Purpose -> whether it is allowed, and whether the bridge has been told. `load` it first.

    A file that is missing or damaged allows nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._said: dict[str, tuple[bool, bool]] = {}

    def load(self) -> None:
        """Read what was said before. Raises StorageError where the disk does not answer."""
        self._said = {}
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be read ({error.strerror})") from None
        try:
            self._said = _parsed(text)
        except (ValueError, RecursionError):
            log.warning("%s is damaged: nothing is allowed until it is asked again", self._path)

    def allows(self, purpose: str) -> bool:
        return self._said.get(purpose, (False, True))[0]

    @property
    def allowed(self) -> list[str]:
        """All purposes that are allowed, sorted."""
        return sorted(purpose for purpose, (granted, _) in self._said.items() if granted)

    @property
    def untold(self) -> dict[str, bool]:
        """What the bridge may not know yet: purpose -> whether it is allowed."""
        return {purpose: granted for purpose, (granted, told) in self._said.items() if not told}

    def say(self, purpose: str, granted: bool, *, told: bool = False) -> None:
        """In memory, at once; `save` makes it last."""
        if purpose not in self._said and len(self._said) >= MAX_PURPOSES:
            raise ValueError(f"there are {MAX_PURPOSES} purposes at most")
        self._said[purpose] = (granted, told)

    def save(self) -> None:
        """Durably, whole or not at all. Raises StorageError."""
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump({purpose: list(said) for purpose, said in self._said.items()}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            if os.name == "posix":
                folder = os.open(self._path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written ({error.strerror})") from None


def _parsed(text: bytes) -> dict[str, tuple[bool, bool]]:
    said = json.loads(text)
    if not isinstance(said, dict) or len(said) > MAX_PURPOSES:
        raise ValueError
    found = {}
    for purpose, pair in said.items():
        match pair:
            case [bool(granted), bool(told)]:
                found[purpose] = (granted, told)
            case _:
                raise ValueError
    return found
