"""Who called: posteriors over past holders, one named only above the threshold."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.numbers import attribution
from edge_sdk.numbers.attribution import attribute
from edge_sdk.numbers.delay_model import DelayModel
from edge_sdk.numbers.lease import CHANNEL, PLACE, SESSION, Lease

MODEL = DelayModel()
NOW_MS = 1_800_000_000_000
MIN_MS, HOUR_MS = 60_000, 3_600_000
NUMBER = "+33123450001"


def lease(
    ago_ms: int, who: str = "", *, intent: float | None = None, kind: str = SESSION, n: int = 0
) -> Lease:
    since_ms = NOW_MS - ago_ms
    return Lease(
        f"b-{ago_ms}-{n}", "web", NUMBER, who, kind, since_ms, since_ms + MIN_MS, None, intent
    )


def test_a_holder_of_a_minute_ago_is_named_and_says_why() -> None:
    told = attribute(NOW_MS, [lease(MIN_MS, "cookie:a", intent=0.2)], MODEL)
    assert told.reason == attribution.NAMED
    assert told.named is not None
    assert told.named.lease.holder == "cookie:a"
    assert told.sure > 0.99
    assert told.named.age_ms == MIN_MS
    assert told.named.chance == 0.2
    assert (
        told.named.why == "100%: shown the number 60 s before the call; 20.0% of such visitors call"
    )


def test_shares_are_those_of_bayes() -> None:
    holders = [
        lease(2 * MIN_MS, "cookie:a", intent=0.01),
        lease(20 * MIN_MS, "cookie:b", intent=0.35),
        lease(2 * HOUR_MS, "cookie:c"),
    ]
    told = attribute(NOW_MS, holders, MODEL)
    rates = {
        "cookie:a": 0.01 * MODEL.mix.density_per_s(120),
        "cookie:b": 0.35 * MODEL.mix.density_per_s(1_200),
        "cookie:c": MODEL.call_rate * MODEL.mix.density_per_s(7_200),
    }
    whole = sum(rates.values()) + MODEL.stray_per_s
    for candidate in told.candidates:
        assert candidate.share == pytest.approx(rates[candidate.lease.holder] / whole)
    assert told.candidates[0].lease.holder == "cookie:b"  # not the last one
    assert told.named is None
    assert told.reason == attribution.UNSURE
    assert told.unknown == pytest.approx(MODEL.stray_per_s / whole)


def test_who_has_called_already_is_not_expected_again() -> None:
    holders = [lease(2 * MIN_MS, "cookie:a"), lease(10 * MIN_MS, "cookie:b")]
    before = attribute(NOW_MS, holders, MODEL)
    after = attribute(NOW_MS, holders, MODEL, called={holders[0].id: 1.0})
    assert before.candidates[0].lease.holder == "cookie:a"
    assert after.named is not None
    assert after.named.lease.holder == "cookie:b"


def test_an_old_lease_is_likely_a_strangers_call() -> None:
    told = attribute(NOW_MS, [lease(90 * 24 * HOUR_MS, "cookie:a")], MODEL)
    assert told.reason == attribution.UNSURE
    assert told.unknown > 0.99


def test_somebody_who_came_twice_counts_twice() -> None:
    holders = [lease(5 * MIN_MS, "cookie:a"), lease(6 * MIN_MS, "cookie:b")]
    again = attribute(NOW_MS, [*holders, lease(7 * MIN_MS, "cookie:b")], MODEL)
    assert [c.lease.holder for c in again.candidates] == ["cookie:b", "cookie:a"]
    assert again.candidates[0].leases == 2
    assert again.candidates[0].age_ms == 6 * MIN_MS
    assert "held it 2 times" in again.candidates[0].why


def test_no_lease_and_leases_yet_to_come() -> None:
    told = attribute(NOW_MS, [], MODEL)
    assert (told.reason, told.candidates, told.unknown) == (attribution.NEVER_LENT, (), 1.0)
    told = attribute(NOW_MS, [lease(-HOUR_MS, "cookie:a")], MODEL)  # a clock that is an hour slow
    assert (told.reason, told.named, told.sure) == (attribution.BEFORE_ANY_LEASE, None, 0.0)


def test_leases_that_began_after_the_call_are_nobodys_evidence() -> None:
    now = attribute(NOW_MS, [lease(MIN_MS, "cookie:a")], MODEL)
    later = attribute(NOW_MS, [lease(-HOUR_MS, "cookie:b"), lease(MIN_MS, "cookie:a")], MODEL)
    assert now == later


def test_a_call_in_the_moment_of_its_lease() -> None:
    told = attribute(NOW_MS, [lease(-1_500, "cookie:a")], MODEL)
    assert told.named is not None
    assert told.named.age_ms == 0
    assert attribute(NOW_MS, [lease(-2_500, "cookie:a")], MODEL).named is None


def test_an_erased_holder_keeps_her_share_and_is_not_named() -> None:
    told = attribute(NOW_MS, [lease(MIN_MS), lease(HOUR_MS, "cookie:b", intent=0.2)], MODEL)
    assert told.reason == attribution.ERASED
    assert told.named is None
    assert told.candidates[0].share > 0.8
    two = attribute(NOW_MS, [lease(MIN_MS), lease(MIN_MS + 5_000)], MODEL)
    assert two.reason == attribution.UNSURE  # perhaps two people: nobody knows any more
    assert [candidate.leases for candidate in two.candidates] == [1, 1]


@pytest.mark.parametrize("kind", [CHANNEL, PLACE])
def test_a_posters_number_is_the_posters_for_as_long_as_it_hangs(kind: str) -> None:
    hanging = lease(60 * 24 * HOUR_MS, "place:1-2", kind=kind)
    told = attribute(NOW_MS, [hanging], MODEL)
    assert told.named is not None
    assert told.named.chance is None
    assert told.named.why.endswith("has had the number 60 d before the call")
    gone = replace(hanging, ended_ms=NOW_MS - 50 * 24 * HOUR_MS)
    assert attribute(NOW_MS, [gone], MODEL).named is None


def test_what_a_checked_score_is_worth_replaces_it() -> None:
    holders = [
        lease(2 * MIN_MS, "cookie:a", intent=0.9),
        lease(3 * MIN_MS, "cookie:b", intent=0.01),
    ]
    assert attribute(NOW_MS, holders, MODEL).named is not None
    assert attribute(NOW_MS, holders, MODEL, chance=lambda _: 0.03).named is None
    odd = attribute(NOW_MS, holders, MODEL, chance=lambda _: 7.0)
    assert odd.candidates[0].chance == 1.0


def test_only_the_latest_are_looked_at_and_the_rest_is_not_forgotten() -> None:
    draw = random.Random(1)
    holders = [lease(n * 20 * MIN_MS, f"cookie:{n}") for n in range(1, 3_000)]
    everyone = attribute(NOW_MS, holders, MODEL, most=10_000)
    draw.shuffle(holders)
    some = attribute(NOW_MS, holders, MODEL, most=32)
    assert len(some.candidates) <= 32
    for mine, theirs in zip(some.candidates[:5], everyone.candidates[:5], strict=True):
        assert mine.lease == theirs.lease
        assert mine.share == pytest.approx(theirs.share, abs=0.01)


def test_a_little_history_left_out_weighs_little() -> None:
    holders = [lease(n * MIN_MS, f"cookie:{n}") for n in range(1, 4)]
    told = attribute(NOW_MS, holders, MODEL, most=2)
    everyone = attribute(NOW_MS, holders, MODEL)
    assert told.candidates[0].share <= everyone.candidates[0].share
    assert told.unknown == pytest.approx(everyone.unknown + everyone.candidates[2].share, abs=0.15)


ages = st.lists(
    st.tuples(
        st.integers(-HOUR_MS, 400 * 24 * HOUR_MS),
        st.sampled_from(["", "cookie:a", "cookie:b", "kiosk:c"]),
        st.one_of(st.none(), st.floats(0, 1)),
        st.sampled_from([SESSION, CHANNEL, PLACE]),
    ),
    max_size=12,
)


@given(ages, st.integers(1, 12))
def test_whatever_was_lent_the_shares_are_a_whole_and_the_order_is_nothing(
    rows: list[tuple[int, str, float | None, str]], most: int
) -> None:
    holders = [
        lease(ago_ms, who, intent=intent, kind=kind, n=n)
        for n, (ago_ms, who, intent, kind) in enumerate(rows)
    ]
    told = attribute(NOW_MS, holders, MODEL, most=most)
    whole = sum(Fraction(c.share) for c in told.candidates) + Fraction(told.unknown)
    assert float(whole) == pytest.approx(1)
    assert told.reason in attribution.REASONS
    assert (told.named is not None) == (told.reason == attribution.NAMED)
    assert told.named is None or (told.sure >= 0.8 and told.named.lease.holder)
    assert [c.share for c in told.candidates] == sorted(c.share for c in told.candidates)[::-1]
    other = attribute(NOW_MS, holders[::-1], MODEL, most=most)
    assert {(c.lease.holder, round(c.share, 9)) for c in told.candidates} == {
        (c.lease.holder, round(c.share, 9)) for c in other.candidates
    }


def test_nothing_that_is_said_names_anybody() -> None:
    told = attribute(NOW_MS, [lease(MIN_MS, "cookie:secret")], MODEL)
    assert "secret" not in repr(told) + "".join(c.why for c in told.candidates)


@pytest.mark.parametrize("wrong", [{"threshold": 0.5}, {"threshold": 1.1}, {"most": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        attribute(NOW_MS, [], MODEL, **wrong)  # type: ignore[arg-type]


def test_older_holders_are_taken_to_be_like_those_that_are_looked_at() -> None:
    """A likely callers' number: its older holders are likely callers as well."""
    holders = [lease(n * HOUR_MS, f"cookie:{n}", intent=0.35) for n in range(1, 600)]
    few = attribute(NOW_MS, holders, MODEL, most=16)
    everyone = attribute(NOW_MS, holders, MODEL, most=1_000)
    assert few.candidates[0].share == pytest.approx(everyone.candidates[0].share, abs=0.02)
