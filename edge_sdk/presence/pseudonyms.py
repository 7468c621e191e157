"""A key in memory that makes pseudonyms, and its end: then nobody can make or match them again."""

from binascii import hexlify

from .engine import MAX_BEACON_LENGTH

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[], bytes]  # 32 random bytes, anew each time (`os.urandom`)
    Hmac = Callable[[bytes, bytes], bytes]  # HMAC-SHA256 (`wire.suite.Suite.hmac`)

KEY_BYTES = 32
_NAME_BYTES = 16  # of 32: two of a day's million pseudonyms are alike once in 10**26 days


class PseudonymKey:
    """A key in memory, overwritten when it ends; what it makes of an identifier."""

    __slots__ = ("_hmac", "_key", "_scheme")

    def __init__(self, key: bytes, hmac: "Hmac", scheme: str) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a key has %d bytes" % KEY_BYTES)
        self._key = bytearray(key)
        self._hmac = hmac
        self._scheme = scheme

    def name(self, beacon: str) -> str:
        """The same of the same beacon, as long as the key lives."""
        # Not remembered: a table of pseudonyms would hold every identifier beside its own.
        digest = self._hmac(bytes(self._key), beacon.encode())
        return self._scheme + hexlify(digest[:_NAME_BYTES]).decode()

    def forget(self) -> None:
        for at in range(KEY_BYTES):
            self._key[at] = 0


def is_hashable(beacon: object) -> bool:
    """Whether this may be an identifier; of what is hashed at once, the letters do not matter."""
    return (
        isinstance(beacon, str)
        and 2 < len(beacon) <= MAX_BEACON_LENGTH
        and 0 < beacon.find(":") < len(beacon) - 1
        and _is_ascii(beacon)
    )


def _as_is(_text: str) -> bool:
    return True


# A board's str does not tell, and holds nothing that has no UTF-8.
_is_ascii = getattr(str, "isascii", _as_is)
