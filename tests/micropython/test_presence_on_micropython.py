"""The presence engine's portable checks, by the same files, on real MicroPython."""

import pytest

from firmware.manifest import PORTABLE
from tests.micropython import interpreter
from tests.presence.portable_presence import CHECKS

pytestmark = pytest.mark.skipif(bool(interpreter.missing()), reason=interpreter.missing())

FILES = (
    *PORTABLE,
    "tests/micropython/presence_on_board.py",
    "tests/presence/portable_presence.py",
    "tests/wire/dice.py",
    "tests/vectors/presence.json",
)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, interpreter.Outcome]:
    found = interpreter.outcomes("tests.micropython.presence_on_board", FILES, moved={})
    return {outcome.name: outcome for outcome in found}


@pytest.mark.parametrize("name", [name for name, _ in CHECKS])
def test_check(outcomes: dict[str, interpreter.Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.ok, outcome.error
    assert outcome.cases > 0
