"""What no device of ours does, and a broken or stolen one may: it costs the others nothing."""

import threading
from pathlib import Path

import pytest

from cloud_bridge import ingest, snapshot
from cloud_bridge.queues import DEVICE_SHARE
from cloud_bridge.receiving import MAX_EPOCHS
from cloud_bridge.store import Writes
from cloud_bridge.turn import Arrival
from edge_sdk.wire import control, seal
from edge_sdk.wire.control import MAX_HELD_RUNS, SHED
from edge_sdk.wire.keys import MAX_EPOCH, MAX_SEQ
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.rig import Rig

SIGHT = make("sighting", START_MS, receiver="r", beacon="ble:1")


def sizes(rig: Rig) -> tuple[int, ...]:
    """What could grow, in memory and in the store."""
    intake = rig.intake
    (receiver,) = intake.receivers.values()
    return (
        len(intake.people),
        len(intake.people.dirty),
        len(intake.outstanding),
        len(intake.vault._recent),
        len(receiver.holdings),
        sum(len(holding.gaps) for holding in receiver.holdings.values()),
        len(receiver.touched),
        intake.next_log_id,
        len(list(rig.store.log())),
        len(list(rig.store.epochs())),
    )


def test_the_same_batches_for_ever_are_acknowledged_and_leave_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        batches = [device.columns(SIGHT, SIGHT) for _ in range(50)]
        rig.send(device, *batches, lane=BULK)
        before, digest = sizes(rig), rig.digest()
        for _ in range(40):
            rig.heard[device.number].clear()
            heard = rig.send(device, *batches, lane=BULK)
            held = {s for _, ranges in heard for _, a, b in ranges for s in range(a, b + 1)}
            assert held == set(range(1, 51))
        assert (sizes(rig), rig.digest()) == (before, digest)
        assert rig.intake.counted["duplicates"] == 2000
        assert rig.intake.counted["touchpoints"] == 100


def test_a_device_that_hears_no_acknowledgement_is_told_again_and_again(tmp_path: Path) -> None:
    """It keeps all, starts anew with a hello that lists all, and sends all."""
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        sent: list[bytes] = []
        for start in range(12):
            held = [(0, start, 5)] if start else []
            hello = device.start(*held)
            sent += [hello, *[device.rows(SIGHT) for _ in range(5)]]
            rig.send(device, hello)
            rig.send(device, *sent[-DEVICE_SHARE + 1 :], lane=BULK)
        (receiver,) = rig.intake.receivers.values()
        assert len(receiver.holdings) == 12
        assert sum(len(holding.gaps) for holding in receiver.holdings.values()) == 1
        assert rig.intake.counted["touchpoints"] == 60
        assert len(list(rig.store.log())) == 60
        rig.send(device, device.start())
        assert len(receiver.holdings) == 1


TOO_MUCH = {
    "every epoch there can be": [(0, MAX_EPOCH + 1, MAX_SEQ)],
    "epochs to come": [(0, 3, 5)],
    "itself": [(1, 1, 5)],
    "an epoch of none": [(0, 0, 5)],
    "a number that is none": [(0, 1, MAX_SEQ + 1)],
    "too many runs": [(n, 1, n % 7) for n in range(MAX_HELD_RUNS + 1)],
}


@pytest.mark.parametrize("held", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_hello_that_claims_too_much_is_malformed_and_held(
    tmp_path: Path, held: list[tuple[int, int, int]]
) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        rig.send(device, device.rows(SIGHT))
        heard = rig.send(device, device.start(*held))
        assert ("refusal", [(1, 0, "malformed", False)]) in heard
        (receiver,) = rig.intake.receivers.values()
        assert sorted(receiver.holdings) == [0, 1]  # of one that nobody can read, all stay open
        assert ("ack", [(1, 1, 1)]) in rig.send(device, device.rows(SIGHT))


def test_a_hello_of_more_epochs_than_are_kept_open_is_malformed(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        device.skip_epochs(MAX_EPOCHS - 1)
        heard = rig.send(device, device.start((0, MAX_EPOCHS, MAX_SEQ)))
        assert ("refusal", [(MAX_EPOCHS, 0, "malformed", False)]) in heard
        (receiver,) = rig.intake.receivers.values()
        assert len(receiver.holdings) == 2
        assert ("ack", [(MAX_EPOCHS, 1, 1)]) in rig.send(device, device.rows(SIGHT))


def test_a_notice_of_everything_takes_no_more_than_a_small_one(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        gaps = [(epoch, 0, MAX_SEQ, MAX_SEQ, SHED) for epoch in range(1500)]
        plaintext = control.encode_notice([(0, 5, MAX_SEQ, 9, SHED), *gaps[1:]])
        heard = rig.send(device, device.seal(seal.NOTICE, plaintext))
        assert heard[-1][0] == "ack"
        (receiver,) = rig.intake.receivers.values()
        assert sorted(receiver.holdings) == [0]
        assert rig.send(device, device.rows(SIGHT))[-1] == ("ack", [(0, 2, 2)])


def test_who_floods_is_dropped_and_the_others_are_not(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        flood, other = rig.enrol("flood"), rig.enrol("other")
        for device in (flood, other):
            rig.send(device, device.start())
        sent = [flood.rows(SIGHT) for _ in range(4 * DEVICE_SHARE)]
        taken = 0
        with rig.ingest._state:  # the working thread cannot take a turn
            for number, message in enumerate(sent):
                arrival = Arrival(flood.topic(BULK), message, rig.clock.ms, (BULK, 2, number))
                taken += rig.ingest.offer(arrival)
            assert DEVICE_SHARE <= taken <= DEVICE_SHARE + ingest.BULK_A_TURN
            rig.offer(other, other.rows(SIGHT), lane=BULK)
        released = 0
        after_other = None
        while released < taken + 1:
            tokens = rig.follow().tokens
            released += len(tokens)
            if any(ack == ("ack", [(0, 1, 1)]) for ack in rig.heard[other.number]):
                after_other = after_other or released
        assert after_other is not None
        assert after_other <= 2 * ingest.BULK_A_TURN + 1
        rig.send(flood, *sent[:20], lane=BULK)  # what was dropped comes again


def test_live_messages_without_a_pause_do_not_keep_the_snapshot_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "EVERY_DIRTY", 10)
    with Rig(tmp_path, most_people=10) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        monkeypatch.setattr(rig.ingest, "_may_turn_here", lambda: False)
        monkeypatch.setattr(rig.ingest, "_is_idle", lambda: False)  # never, as it seems
        for number in range(60):
            beacon = make("sighting", START_MS, receiver="r", beacon=f"ble:{number}")
            rig.send(device, device.rows(beacon), lane=LIVE)
        assert rig.store.marks().watermark > 0
        assert len(rig.intake.people.dirty) <= 3 * 10


def test_a_hello_that_says_the_same_again_writes_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        device.skip_epochs(500)
        rig.send(device, device.start((0, 500, 5)))
        written: list[int] = []
        commit = rig.store.commit

        def counting(writes: Writes) -> None:
            written.append(len(writes.epochs))
            commit(writes)

        monkeypatch.setattr(rig.store, "commit", counting)
        rig.send(device, device.start((0, 500, 5), (500, 1, 5)))
        assert sum(written) == 2  # its own, and the one that has an end now
        rig.send(device, device.start((0, 400, 5), (400, 100, 4)))
        assert sum(written) == 2 + 102 + 1
        monkeypatch.undo()
    with Rig(tmp_path) as again:
        assert len(list(again.store.epochs())) == 501


def test_a_tenant_that_floods_does_not_silence_another(tmp_path: Path) -> None:
    """One process, one turnstile: the flood ends only when the other has been answered."""
    with Rig(tmp_path / "flood") as flood, Rig(tmp_path / "other") as other:
        other.ingest._turnstile = flood.ingest._turnstile
        loud, quiet = flood.enrol(), other.enrol()
        flood.send(loud, loud.start())
        other.send(quiet, quiet.start())
        sent = [loud.rows(SIGHT) for _ in range(DEVICE_SHARE)]
        answered = threading.Event()

        def shout() -> None:
            number = 0
            while not answered.is_set():
                number += 1
                message = sent[number % len(sent)]
                arrival = Arrival(loud.topic(BULK), message, flood.clock.ms, (BULK, 2, number))
                if not flood.ingest.offer(arrival):
                    answered.wait(0.001)

        shouting = threading.Thread(target=shout)
        shouting.start()
        try:
            for number in range(1, 31):
                heard = other.send(quiet, quiet.rows(SIGHT), lane=(LIVE, BULK)[number % 2])
                assert ("ack", [(0, number, number)]) in heard
        finally:
            answered.set()
            shouting.join()
        assert flood.intake.counted["batches"] > 0
