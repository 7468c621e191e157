"""Whose resolvable private address this is, among thousands of keys.

To know an address, each key has to be tried: it is found, or known to be nobody's, after as many
ciphers as there are keys. So what was found is remembered, and new addresses are tried many at a
time: most of a trial's cost is a cipher's set-up, which they then share.
"""

from .identifiers import KEY_BYTES, is_resolvable

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .identifiers import Ecb

_TOGETHER = 256  # addresses tried at a time


class AddressTable:
    """Resolves addresses of 6 bytes, first byte first as they are written.

    ecb            `identifiers.Ecb`
    max_addresses  that are remembered; phones change theirs every 15 minutes
    max_waiting    new ones that wait to be tried

    `counts` has what became of the addresses: "resolved", "unknown" (nobody's, or not tried yet),
    "recovered" by a search, "forgotten" and "dropped" for want of room.
    """

    def __init__(
        self, ecb: "Ecb", *, max_addresses: int = 65_536, max_waiting: int = 4_096
    ) -> None:
        self._ecb = ecb
        self._max_addresses = max_addresses
        self._max_waiting = max_waiting
        self._keys: "list[tuple[str, bytes]]" = []
        self._places: "dict[str, int]" = {}  # in that list
        self._known: "dict[bytes, str | None]" = {}  # None: nobody's, or not tried yet
        self._known_ring: "list[bytes]" = []
        self._next_known = 0
        self._waiting: "list[bytes]" = []
        self._trying: "list[bytes]" = []
        self._blocks = b""  # of these
        self._cursor = 0  # the key that is tried next on them
        self.counts = dict.fromkeys(("resolved", "unknown", "recovered", "forgotten", "dropped"), 0)

    @property
    def identities(self) -> int:
        """How many there are."""
        return len(self._keys)

    @property
    def searching(self) -> bool:
        """Whether `search` has something to do."""
        return bool(self._trying or self._waiting)

    def __repr__(self) -> str:
        return "<AddressTable of %d identities>" % len(self._keys)

    def add(self, name: str, key: bytes) -> "list[tuple[bytes, str]]":
        """Take in an identity; one of that name goes. (Address, name) that were nobody's before.

        Raises ValueError for a key that is not 16 bytes.
        """
        if len(key) != KEY_BYTES:
            raise ValueError("an identity resolving key is 16 bytes")
        self.remove(name)
        self._places[name] = len(self._keys)
        self._keys.append((name, key))
        strangers = [address for address in self._known if self._known[address] is None]
        return self._try(name, key, strangers, _blocks(strangers))

    def remove(self, name: str) -> None:
        """Forget an identity, its key and its addresses, if it is there."""
        place = self._places.pop(name, None)
        if place is None:
            return
        last = self._keys.pop()
        if last[0] != name:
            self._keys[place] = last
            self._places[last[0]] = place
        self._cursor = 0  # the key that moved may not have been tried yet
        for address in self._known:
            if self._known[address] == name:
                self._known[address] = None

    def resolve(self, address: bytes) -> "str | None":
        """The name of the identity whose address this is, or None. A look-up."""
        name = self._known.get(address)
        if name is not None:
            self.counts["resolved"] += 1
            return name
        self.counts["unknown"] += 1
        if address not in self._known and is_resolvable(address):
            if len(self._waiting) < self._max_waiting:
                self._remember(address)
                self._waiting.append(address)
            else:
                self.counts["dropped"] += 1
        return None

    def search(self, budget: int) -> "list[tuple[bytes, str]]":
        """Try at most `budget` keys on new addresses; (address, name) found. These now resolve."""
        found: "list[tuple[bytes, str]]" = []
        while budget > 0 and self.searching:
            if not self._trying:
                self._trying = self._waiting[:_TOGETHER]
                self._waiting = self._waiting[_TOGETHER:]
                self._blocks = _blocks(self._trying)
                self._cursor = 0
            if self._cursor >= len(self._keys):
                self._trying = []
                continue
            name, key = self._keys[self._cursor]
            self._cursor += 1
            budget -= 1
            mine = self._try(name, key, self._trying, self._blocks)
            if mine:
                found.extend(mine)
                gone = [address for address, _ in mine]
                self._trying = [address for address in self._trying if address not in gone]
                self._blocks = _blocks(self._trying)
        return found

    def _try(
        self, name: str, key: bytes, addresses: "list[bytes]", blocks: bytes
    ) -> "list[tuple[bytes, str]]":
        out: "list[tuple[bytes, str]]" = []
        if addresses:
            sealed = self._ecb(key, blocks)
            end = 16
            for address in addresses:
                if sealed[end - 3 : end] == address[3:]:
                    self.counts["recovered"] += 1
                    if address in self._known:
                        self._known[address] = name
                    out.append((address, name))
                end += 16
        return out

    def _remember(self, address: bytes) -> None:
        if len(self._known_ring) < self._max_addresses:
            self._known_ring.append(address)
        else:
            self.counts["forgotten"] += 1
            self._known.pop(self._known_ring[self._next_known], None)
            self._known_ring[self._next_known] = address
            self._next_known = (self._next_known + 1) % self._max_addresses
        self._known[address] = None


def _blocks(addresses: "list[bytes]") -> bytes:
    """What `identifiers.ah` seals of each."""
    head = bytes(13)
    return b"".join([head + address[:3] for address in addresses])
