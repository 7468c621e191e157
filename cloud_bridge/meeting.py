"""A batch is met: from here on nobody is named in it, and all who are meant are in memory.

What rotates stands for the thing that emits it, where its person agreed; a telephone number stands
for its pseudonym, whoever sent it; every identifier stands for a handle of the vault. Storage is
read before anything changes.
"""

from collections.abc import Collection
from itertools import chain

from cloud_bridge.batch import Batch
from cloud_bridge.calling import Calling
from cloud_bridge.people import People
from cloud_bridge.peppers import SCHEME, Peppers
from cloud_bridge.resolving import Resolving
from cloud_bridge.turn import Origin
from cloud_bridge.vault import Vault
from edge_sdk.calls.model import CALL


class Meeting:
    """`meet` each batch, once, before it is folded."""

    def __init__(
        self,
        vault: Vault,
        people: People,
        resolving: Resolving,
        calling: Calling,
        peppers: Peppers,
    ) -> None:
        self._vault = vault
        self._people = people
        self._resolving = resolving
        self._calling = calling
        self._peppers = peppers

    def meet(self, origin: Origin, batch: Batch, log_id: int) -> None:
        """`log_id`: the row of the log that it will have. Raises StorageError."""
        known_below = self._vault.next_handle
        identifiers = batch.identifiers()
        meant: dict[str, int] = {}
        if self._resolving.handles:
            meant = self._resolving.meant(batch, identifiers, origin)
        meant.update(self._callers(identifiers))
        handles = self._vault.handles(identifiers - meant.keys())
        handles.update(meant)
        batch.resolve(handles)
        wanted = set(handles.values())
        if CALL in batch.groups:
            wanted |= self._calling.wanted(origin, batch)
        self._people.prefetch(wanted, known_below)
        batch.sealed(lambda handle, place, data: self._vault.seal(handle, log_id, place, data))

    def _callers(self, identifiers: Collection[str]) -> dict[str, int]:
        """Handles of telephone numbers. Whoever is known by an older pepper stays known by it."""
        raw = [name for name in identifiers if name.startswith(SCHEME)]
        if not raw:
            return {}
        pseudonyms = {name: self._peppers.pseudonym(name) for name in raw}
        older = {name: self._peppers.older(name) for name in raw}
        known = self._vault.find(chain(pseudonyms.values(), *older.values()))
        for name, before in older.items():
            if pseudonyms[name] not in known:
                pseudonyms[name] = next((p for p in before if p in known), pseudonyms[name])
        handles = self._vault.handles(pseudonyms.values())
        found = {name: handles[pseudonym] for name, pseudonym in pseudonyms.items()}
        self._calling.met(
            {
                handle: name[len(SCHEME) :]
                for name, handle in found.items()
                if pseudonyms[name] != name
            }
        )
        return found
