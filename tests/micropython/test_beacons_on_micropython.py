"""The checks of beacons and rotating identifiers, by the same files, on real MicroPython."""

import pytest

from firmware.manifest import PORTABLE
from tests.micropython import interpreter
from tests.presence.portable_beacons import CHECKS

pytestmark = pytest.mark.skipif(bool(interpreter.missing()), reason=interpreter.missing())

FILES = (
    *PORTABLE,
    "firmware/board_suite.py",
    "tests/micropython/beacons_on_board.py",
    "tests/presence/portable_beacons.py",
    "tests/wire/dice.py",
    "tests/wire/refusals.py",
    *(f"tests/vectors/{name}.json" for name in ("ble_frames", "eddystone_eid")),
    "tests/vectors/resolvable_address.json",
)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, interpreter.Outcome]:
    found = interpreter.outcomes(
        "tests.micropython.beacons_on_board",
        FILES,
        moved={"tests/micropython/cryptolib.py": "cryptolib.py"},
    )
    return {outcome.name: outcome for outcome in found}


@pytest.mark.parametrize("name", [name for name, _ in CHECKS])
def test_check(outcomes: dict[str, interpreter.Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.ok, outcome.error
    assert outcome.cases > 0


def test_micropython_ran_each_check_and_no_other(outcomes: dict[str, interpreter.Outcome]) -> None:
    assert set(outcomes) == {name for name, _ in CHECKS}
