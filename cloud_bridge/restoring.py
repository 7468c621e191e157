"""The bridge's memory from storage: receivers from their rows, people from snapshot and log."""

import logging
import time
from collections.abc import Iterable

import msgspec

from cloud_bridge.batch import Batch
from cloud_bridge.errors import SnapshotError
from cloud_bridge.holding import Holding
from cloud_bridge.people import NOBODY, People, unpack_joined, unpack_offered, without_dead
from cloud_bridge.receiving import Ear, Receiver
from cloud_bridge.schemes import LAST_NOBODY
from cloud_bridge.stitching import NO_SOURCE
from cloud_bridge.store import (
    BATCH,
    DECIDED,
    DECISION,
    SNAPSHOT_VERSION,
    DeviceRow,
    EpochRow,
    LogRow,
    Marks,
    Store,
)
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

_PROGRESS_S = 2.0


def device_row(receiver: Receiver) -> DeviceRow:
    """What is stored of a receiver, besides its holdings."""
    return DeviceRow(
        receiver.device,
        receiver.generation,
        receiver.next_epoch,
        receiver.revoked,
        receiver.chain_key,
        _packed(receiver.ear),
        _packed(receiver.old_ear),
    )


def epoch_row(receiver: Receiver, epoch: int) -> EpochRow | None:
    """What is stored of one epoch; None: it is closed."""
    holding = receiver.holdings.get(epoch)
    if holding is None:
        return None
    return EpochRow(
        receiver.device,
        epoch,
        holding.clock_ms,
        holding.batches,
        holding.touchpoints,
        holding.received_ms,
        holding.to_bytes(),
    )


def receivers(
    suite: Suite, devices: Iterable[DeviceRow], epochs: Iterable[EpochRow]
) -> dict[int, Receiver]:
    """All receivers, as they were stored."""
    restored = {
        row.device: Receiver(
            suite,
            row.device,
            generation=row.generation,
            next_epoch=row.next_epoch,
            chain_key=row.chain_key,
            ear=_unpacked(row.ear),
            old_ear=_unpacked(row.old_ear),
            revoked=bool(row.revoked),
        )
        for row in devices
    }
    for row in epochs:
        holding = Holding.from_bytes(suite, row.state, row.clock_ms)
        holding.batches, holding.touchpoints = row.batches, row.touchpoints
        holding.received_ms = row.received_ms
        restored[row.device].holdings[row.epoch] = holding
    return restored


def trouble_of(marks: Marks) -> str:
    """Why this version cannot go on from a snapshot; empty: it can."""
    if marks.snapshot > SNAPSHOT_VERSION:
        return f"it was written by a later version (form {marks.snapshot})"
    if 0 < marks.snapshot < SNAPSHOT_VERSION:
        return f"it was written by an earlier version (form {marks.snapshot})"
    if marks.watermark > marks.last:
        return f"it has folded log rows up to {marks.watermark}, the log ends at {marks.last}"
    if marks.watermark < marks.pruned_to:
        return f"it ends at log row {marks.watermark}, and the log begins behind {marks.pruned_to}"
    return ""


def checked(store: Store, rebuild: bool = False) -> Marks:
    """Where the snapshot stands, once it is one that this version can go on from.

    One that cannot be used is dropped where the log still has everything, and made again from it.
    Raises SnapshotError where that would lose something, unless `rebuild` accepts it.
    """
    marks = store.marks()
    if rebuild:
        log.warning("the snapshot is made again from the log, which begins at %d", marks.first)
        store.drop_derived()
        return store.marks()
    trouble = trouble_of(marks)
    if not trouble:
        return marks
    if marks.pruned_to:
        raise SnapshotError(
            f"the snapshot cannot be used: {trouble}; and log rows up to {marks.pruned_to} are"
            " gone, so not all of it can be made again. Start with the version that wrote it, or"
            " put a matching copy back, or accept what is lost: cloud-bridge run --rebuild"
        )
    log.warning("the snapshot is made again from the log: %s", trouble)
    store.drop_derived()
    return store.marks()


def replay(people: People, store: Store, marks: Marks) -> int:
    """Fold what the snapshot lacks of the log; how many touchpoints that were."""
    erased = store.erased()
    people.restore_totals()
    began_s = told_s = time.monotonic()
    rows = touchpoints = 0
    for row in store.log(after=max(marks.watermark, marks.pruned_to)):
        rows += 1
        touchpoints += row.touchpoints
        _fold(people, row, erased)
        now_s = time.monotonic()
        if now_s - told_s >= _PROGRESS_S:
            told_s = now_s
            share = 100 * (row.id - marks.watermark) / max(1, marks.last - marks.watermark)
            log.info("folding the log: %d touchpoints, %.0f %%", touchpoints, share)
    people.restored()
    if rows:
        took_s = time.monotonic() - began_s
        log.info("folded %d rows of the log, %d touchpoints, %.1f s", rows, touchpoints, took_s)
    return touchpoints


def _fold(people: People, row: LogRow, erased: set[int]) -> None:
    if row.kind != BATCH and row.kind not in DECIDED:
        return
    source = NO_SOURCE
    if row.device is not None:
        source = (row.device, row.generation, row.epoch)
    people.at(row.id, row.received_ms, row.site, source)
    try:
        if row.kind == BATCH:
            batch = Batch.from_body(row.body)
            if erased:
                batch.without(erased)
            people.prefetch(batch.known())
            people.apply(batch)
        elif row.kind == DECISION:
            offered = unpack_offered(row.body)
            if offered.visitor != NOBODY and offered.visitor not in erased:
                people.prefetch([offered.visitor])
                people.apply_offered(offered)
        else:
            joined = without_dead(unpack_joined(row.body), erased)
            people.prefetch([h for h in (joined.caller, joined.whose) if h > LAST_NOBODY])
            people.apply_joined(joined)
    except (msgspec.DecodeError, ValueError, LookupError) as error:
        log.error("row %d of the log is passed over: %s", row.id, type(error).__name__)


def _packed(ear: Ear | None) -> bytes:
    return b"" if ear is None else msgspec.msgpack.encode((ear.generation, ear.epoch, ear.down_key))


def _unpacked(packed: bytes) -> Ear | None:
    if not packed:
        return None
    return Ear(*msgspec.msgpack.decode(packed, type=tuple[int, int, bytes]))
