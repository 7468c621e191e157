"""Arbitrary touchpoints and bytes, the same on each interpreter."""

from edge_sdk.wire.touchpoint import DATA, DBM, FIELDS, ID, TEXT, TYPES, Touchpoint

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any


class Dice:
    """The same numbers on each interpreter: xorshift32 (G. Marsaglia, 2003)."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, end: int) -> int:
        state = self._state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._state = state
        return state % end

    def bytes(self, size: int) -> bytes:
        return bytes([self.below(256) for _ in range(size)])

    def integer(self) -> int:
        number = int.from_bytes(self.bytes(8), "big") >> self.below(64)
        return number if self.below(2) else -(number >> 1)

    def text(self) -> str:
        letters = "ab\u00e9\u20ac\u4f1a\U0001f6d2"
        return "".join([letters[self.below(6)] for _ in range(self.below(40))])

    def value(self, kind: str) -> "Any":
        if self.below(5) == 0:
            return None
        if kind is TEXT:
            return self.text()
        if kind is ID:
            return f"id:{self.below(9):x}"
        if kind is DATA:
            return self.bytes(self.below(40))
        if kind is DBM:
            return self.below(511) - 255
        return self.integer()

    def touchpoint(self) -> Touchpoint:
        at_ms = self.below(1 << 30) << self.below(24)
        if self.below(10) == 0:
            kinds = (TEXT, DATA, "int")
            return Touchpoint(777, at_ms, tuple([self.value(kinds[self.below(3)]) for _ in "1234"]))
        code = TYPES[self.below(len(TYPES))][0]
        return Touchpoint(code, at_ms, tuple([self.value(kind) for _, kind in FIELDS[code]]))
