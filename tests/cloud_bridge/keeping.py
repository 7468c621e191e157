"""Keeping house in a life (lives.py), a clock for it, and touchpoints to begin with."""

from cloud_bridge.housekeeping import Housekeeping
from cloud_bridge.turn import Turn
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life

KEEP_DAYS = 10
ANN, BOB = "login:ann-4711", "loyalty:bob-4712"


class SetClock:
    def __init__(self) -> None:
        self.ms = START_MS

    def wall_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.ms / 1000


def house_of(life: Life, clock: SetClock, keep_days: float = KEEP_DAYS) -> Housekeeping:
    intake = life.intake
    resolving = intake.resolving
    return Housekeeping(
        life.store, intake.people, intake.vault, clock, keep_days, resolving=resolving
    )


def keep_house(house: Housekeeping, clock: SetClock) -> int:
    """Until there is nothing more to do; how many steps that were."""
    clock.ms += 20_000
    steps = 1
    while house.step(clock.steady_s()):
        steps += 1
    return steps


def view(at_ms: int, session: str, category: str = "coffee") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category=category)


def login(at_ms: int, person: str, session: str) -> Touchpoint:
    return make("identify", at_ms, seen=session, known_as=person, method="login")


def sight(at_ms: int, beacon: str) -> Touchpoint:
    return make("sighting", at_ms, receiver="r", beacon=beacon)


def erase(life: Life, *identifiers: str) -> int:
    turn = Turn()
    gone = life.intake.erase(turn, identifiers)
    life.intake.finish(turn)
    life.store.commit(turn.writes)
    return gone


def handles(life: Life) -> set[int]:
    rows = life.store.vault_rows(range(4, 4 * life.store.marks().next_number + 4))
    return set(rows)
