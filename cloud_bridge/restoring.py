"""The bridge's memory to and from storage: receivers from their rows, people from the log."""

import logging
from collections.abc import Iterable

import msgspec

from cloud_bridge.decode import decode
from cloud_bridge.holding import Holding
from cloud_bridge.people import Offered, People
from cloud_bridge.receiving import Ear, Receiver
from cloud_bridge.store import COLUMNS, DECISION, DEFLATED, ROWS, DeviceRow, EpochRow, LogRow
from edge_sdk.wire.batch import BatchError
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

_PROGRESS_ROWS = 100_000


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
    return EpochRow(receiver.device, epoch, holding.clock_ms, holding.to_bytes())


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
        restored[row.device].holdings[row.epoch] = holding
    return restored


def replay(people: People, rows: Iterable[LogRow]) -> int:
    """Fold a log from its beginning; the id that follows its last row."""
    last = count = 0
    for count, row in enumerate(rows, 1):
        if row.kind in (ROWS, COLUMNS, DEFLATED):
            try:
                people.apply(decode(row.kind, row.body), row.offset_ms)
            except BatchError as error:  # kept by a version that did not know the type yet
                log.error("row %d of the log is passed over: %s", row.id, error)
        elif row.kind == DECISION:
            people.apply_offered(Offered.unpack(row.body))
        last = row.id
        if count % _PROGRESS_ROWS == 0:
            log.info("replaying the log: %d rows so far", count)
    if count:
        log.info("replayed %d rows of the log", count)
    return last + 1


def _packed(ear: Ear | None) -> bytes:
    return b"" if ear is None else msgspec.msgpack.encode((ear.generation, ear.epoch, ear.down_key))


def _unpacked(packed: bytes) -> Ear | None:
    if not packed:
        return None
    return Ear(*msgspec.msgpack.decode(packed, type=tuple[int, int, bytes]))
