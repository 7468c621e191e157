"""The port between readings and visits: where one beacon probably is, given what was heard of it.

A belief is a filter: it is stepped with what came since the last step, silence included, and says
how probable each zone is. `zone_belief.py` needs no survey and no numpy, and runs on a board;
`grid_belief.py` follows a walker over a radio map and gives positions as well.
"""

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Protocol

    class Belief(Protocol):
        """What is believed of one beacon."""

        def step(self, at_ms: int, heard: "list[tuple[str, float, int]]") -> None:
            """Take in what came since the last step: (receiver, median in dBm, readings).

            `at_ms` does not go back. An empty list says that nobody heard it: that is evidence.
            """
            ...

        def zones(self) -> "list[float]":
            """The probability of each of the factory's `zones`, in their order; they sum to 1."""
            ...

        def position(self) -> "tuple[float, float, float, float, float] | None":
            """X and y in metres, their variances and covariance in m2; None: it does not know."""
            ...

    class Beliefs(Protocol):
        """Makes the beliefs of one store.

        zones    names; the last one is OUTSIDE, which is also wherever no zone is
        step_ms  how often a belief wants to be stepped
        deaf     receivers that may be dead: their silence says nothing; the engine keeps it
        """

        zones: tuple[str, ...]
        step_ms: int
        deaf: set[str]

        def fresh(self, at_ms: int) -> Belief:
            """The belief about a beacon that was first heard just now."""
            ...


OUTSIDE = ""
