"""The write-behind: whatever happens in between, the same log comes to the same."""

from pathlib import Path

import pytest

from cloud_bridge import identity, people
from cloud_bridge.people import TOTALS
from tests.cloud_bridge.lives import Life, Step, hard, history, quiet, touchpoint

SEEDS = range(25)
LIVES = 2  # hard ones of each history


@pytest.mark.parametrize("prunes", [False, True], ids=["whole", "pruned"])
def test_a_hard_life_comes_to_what_a_quiet_one_does(tmp_path: Path, prunes: bool) -> None:
    """A record ahead of the watermark is passed over exactly: nothing is folded twice, or never."""
    for seed in SEEDS:
        _compare(tmp_path, seed, prunes)


def test_also_where_little_is_kept_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, interests and purposes that fall off the end."""
    monkeypatch.setattr(identity, "MAX_LINKS", 2)
    monkeypatch.setattr(people, "MAX_INTERESTS", 1)
    for seed in SEEDS:
        _compare(tmp_path, 1000 + seed, False)


def _compare(tmp_path: Path, seed: int, prunes: bool) -> None:
    steps = history(seed)
    wanted = quiet(tmp_path / f"{seed}", steps)
    digest, logged = wanted.digest(), wanted.logged()
    wanted.end()
    for life_seed in range(LIVES):
        home = tmp_path / f"{seed}-{life_seed}"
        life = hard(home, steps, 100 * seed + life_seed, prunes=prunes)
        assert life.digest() == digest, (seed, life_seed)
        kept = life.logged()
        assert kept == logged[len(logged) - len(kept) :]
        assert prunes or len(kept) == len(logged)
        life.end()
