"""Which free number to lend next: the least recently used, so that each rests as long as it can.

What keeps a late call from naming the wrong visitor is the time for which its number was not lent
again, so the order of lending matters more than how many numbers there are. With `split`, likely
callers have numbers of their own, as many as their calls are worth; while the score does not tell
callers from the rest (edge_sdk/numbers/intent_check.py), all are lent as one queue. A visitor whose
part has nothing free gets the other part's: nobody is refused while any number is free.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from edge_sdk.numbers.intent_check import Division, IntentCheck

_REMEMBERED_LENDINGS = 256  # for how many numbers the others hold at once, on average


class Free:
    """The free numbers of both parts, the least recently used of each first."""

    __slots__ = ("_parts", "_stamp")

    def __init__(self) -> None:
        # Each number with a stamp that grows, so that two queues can be read as one.
        self._parts: tuple[OrderedDict[str, int], ...] = (OrderedDict(), OrderedDict())
        self._stamp = 0

    def __len__(self) -> int:
        return len(self._parts[0]) + len(self._parts[1])

    def __contains__(self, number: object) -> bool:
        return number in self._parts[0] or number in self._parts[1]

    def __iter__(self) -> Iterator[str]:
        """The numbers, the least recently used first, whatever their part."""
        both = (item for part in self._parts for item in part.items())
        return (number for number, _ in sorted(both, key=lambda item: item[1]))

    def append(self, number: str, part: int) -> None:
        self._stamp += 1
        self._parts[part][number] = self._stamp

    def discard(self, number: str) -> bool:
        """Whether it was there."""
        return any(part.pop(number, None) is not None for part in self._parts)

    def pop(self, part: int | None) -> str | None:
        """The least recently used of a part, or of the other if it is empty; None: of both."""
        first, second = (next(iter(each.values()), None) for each in self._parts)
        if first is None and second is None:
            return None
        if first is None or second is None:
            part = 0 if second is None else 1
        elif part is None:
            part = 0 if first < second else 1
        return self._parts[part].popitem(last=False)[0]


class Allocation:
    """The order in which a pool's numbers are lent; deterministic. Each step takes constant time.

    numbers  in the order in which they are to be lent at first
    split    whether likely callers may have numbers of their own

    `free` is what can be lent; `check` counts what intent scores are worth.
    """

    __slots__ = ("_homes", "_likely", "_others_hold", "_split", "_with_others", "check", "free")

    def __init__(self, numbers: Iterable[str], *, split: bool) -> None:
        self.free = Free()
        self.check = IntentCheck()
        self._split = split
        self._homes: dict[str, int] = {}  # of every number, lent or free: 1 is the likely callers'
        self._likely = 0  # how many are theirs
        self._with_others: set[str] = set()  # lent to visitors who are not likely to call
        self._others_hold = 0.0  # how many of these at once, on average
        for number in numbers:
            self.add(number)

    @property
    def division(self) -> Division | None:
        """How the pool is divided now; None: it is one queue."""
        return self.check.division if self._split else None

    @property
    def likely_numbers(self) -> int:
        """How many numbers are kept for likely callers; without a division they are not kept."""
        return self._likely

    def add(self, number: str) -> None:
        """A number that can be lent from now on, after all that are free. ValueError if known."""
        if number in self._homes:
            raise ValueError("this number is in the pool already")
        self._homes[number] = 0
        self.free.append(number, self._settled(number))

    def remove(self, number: str) -> None:
        """A number that is never lent again, free or lent; its lease ends without `give_back`.

        Raises ValueError if it is not known.
        """
        home = self._homes.pop(number, None)
        if home is None:
            raise ValueError("this number is not in the pool")
        self._likely -= home
        self._with_others.discard(number)
        self.free.discard(number)

    def take(self, intent: float | None) -> str | None:
        """The number to lend to a visitor with this intent (None: nobody knows); None: none free.

        Raises ValueError if the intent is not a probability.
        """
        division = self.division
        if division is None:
            return self.free.pop(None)
        if division.likely(intent):
            return self.free.pop(1)
        self._others_hold += (len(self._with_others) - self._others_hold) / _REMEMBERED_LENDINGS
        number = self.free.pop(0)
        if number is not None:
            self._with_others.add(number)
        return number

    def claim(self, number: str) -> bool:
        """Take this very number, for a visitor who comes back; False if it is not free."""
        return self.free.discard(number)

    def give_back(self, number: str) -> None:
        """A lent number that is free again, and now the last to be lent.

        Raises ValueError if it is not lent.
        """
        if number not in self._homes or number in self.free:
            raise ValueError("this number is not lent")
        self._with_others.discard(number)
        self.free.append(number, self._settled(number))

    def learned(self, intent: float | None, called: bool) -> None:
        """What became of a visitor: whether she called. Once for each visitor that had a number.

        Raises ValueError if the intent is not a probability.
        """
        self.check.learned(intent, called)

    def _settled(self, number: str) -> int:
        """The part a number belongs to from now on: where it was, unless the other has too few."""
        home = self._homes[number]
        if (division := self.division) is None:
            return home
        # Numbers that the others have in their hands rest in nobody's part. With fewer than they
        # hold at once, they would take the likely callers' all the time.
        held = math.ceil(self._others_hold + math.sqrt(self._others_hold))
        numbers = len(self._homes)
        wanted = min(round(division.share * numbers), numbers - held)
        wanted = min(max(1, wanted), numbers - 1)
        if home == 0 and self._likely < wanted:
            home, self._likely = 1, self._likely + 1
        elif home == 1 and self._likely > wanted:
            home, self._likely = 0, self._likely - 1
        self._homes[number] = home
        return home
