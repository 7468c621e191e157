"""The recorded walks are complete, in order, and where their README says."""

from itertools import pairwise

import pytest

from simulators import tracks


def test_twelve_receivers_stand_in_four_zones() -> None:
    assert len(tracks.receivers()) == 12
    assert {receiver.zone for receiver in tracks.receivers()} == {
        "entrance",
        "coffee",
        "kitchen",
        "living",
    }


@pytest.mark.parametrize("name", tracks.TRACKS)
def test_a_track_is_in_the_order_of_time_and_begins_at_the_entrance(name: str) -> None:
    track = tracks.load(name)
    assert track.heard[0].at_ms == 0
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(track.heard))
    assert track.zones[0] == tracks.ENTRANCE
    assert len(track.zones) > 1


def test_no_reading_of_the_recordings_is_left_out() -> None:
    assert sum(len(tracks.load(name).heard) for name in tracks.TRACKS) == 11_308


def test_only_known_tracks_are_read() -> None:
    with pytest.raises(KeyError):
        tracks.load("../../pyproject")
