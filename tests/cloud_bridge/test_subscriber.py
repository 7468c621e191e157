"""A lane drops what cannot wait, and releases only to the connection that a message came by."""

from cloud_bridge.subscriber import Lane
from cloud_bridge.turn import Arrival
from tests.cloud_bridge.rig import SetClock


class Taking:
    """Takes two messages, and then no more."""

    def __init__(self) -> None:
        self.arrived: list[Arrival] = []

    def offer(self, arrival: Arrival) -> bool:
        self.arrived.append(arrival)
        return len(self.arrived) < 3

    def has_room(self, _lane: str) -> bool:
        return True


def test_what_comes_is_offered_with_where_it_came_from() -> None:
    intake = Taking()
    arrived = intake.arrived
    lane = Lane("bulk", SetClock(), intake)
    lane.link_up(20)
    lane.received("edge/1/acme/bulk/0000002a", b"one", 1)
    lane.link_down("gone")
    lane.link_up(20)
    lane.received("edge/1/acme/bulk/0000002a", b"two", 1)
    assert [arrival.token for arrival in arrived] == [("bulk", 1, 1), ("bulk", 2, 1)]
    assert lane.counted == {}
    lane.received("edge/1/acme/bulk/0000002a", b"three", 2)
    lane.settled(1, None)
    lane.settled(2, "quota exceeded")
    lane.publish(("edge/1/acme/down/0000002a", b"nobody is connected", 1))
    assert lane.counted == {"dropped.queue_full": 1, "refused_by_broker": 1, "unsent": 1}
    assert "three" not in repr(arrived)
