"""The surveyed places of one store, on disk after each one: nothing is lost with the process."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_sdk.survey_file import Surveyed, read_places, write_places


class Notebook:
    """Places, in the order in which they were surveyed; what is in the file already goes on.

    Constructing reads the file, if there is one. Every method that changes it raises ConfigError
    where it cannot be written, and then nothing has changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = read_places(path) if path.exists() else []
        self._undone: list[Surveyed] = []

    @property
    def places(self) -> Sequence[Surveyed]:
        return tuple(self._places)

    @property
    def can_redo(self) -> bool:
        """Whether an undone place can be had back."""
        return bool(self._undone)

    def on(self, floor: int) -> list[Surveyed]:
        """The places of a floor."""
        return [place for place in self._places if place.floor == floor]

    def add(self, place: Surveyed) -> None:
        """One more; one at the very same place is measured anew, and takes its place."""
        place = replace(place, x_m=round(place.x_m, 2), y_m=round(place.y_m, 2))
        kept = [known for known in self._places if known.place != place.place]
        self._save([*kept, place])
        self._undone.clear()

    def undo(self) -> Surveyed | None:
        """Take the last place back; None: there is none."""
        if not self._places:
            return None
        last = self._places[-1]
        self._save(self._places[:-1])
        self._undone.append(last)
        return last

    def redo(self) -> Surveyed | None:
        """Put the place back that was undone last."""
        if not self._undone:
            return None
        self._save([*self._places, self._undone[-1]])
        return self._undone.pop()

    def _save(self, places: list[Surveyed]) -> None:
        write_places(self.path, places)
        self._places = places
