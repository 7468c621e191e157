"""Rows for a store's tests: each tells by its number what it is."""

from collections.abc import Iterable
from typing import NamedTuple

from cloud_bridge.store import (
    BATCH,
    WAITING,
    DeviceRow,
    EpochRow,
    IdentityRow,
    LogRow,
    Marks,
    PromptRow,
    Store,
    SubjectRow,
    VaultRow,
    VisitRow,
    Writes,
)

DAY_MS = 86_400_000


def log_row(id_: int, body: bytes = b"body", received_ms: int = 5000, kind: int = BATCH) -> LogRow:
    return LogRow(id_, "paris-1", 1, 0, 2, id_, kind, received_ms, -3, 7, body)


def device_row(device: int = 1, next_epoch: int = 3) -> DeviceRow:
    return DeviceRow(device, 0, next_epoch, False, b"c" * 32, b"ear", b"")


def epoch_row(device: int = 1, epoch: int = 2, batches: int = 4) -> EpochRow:
    return EpochRow(device, epoch, None, batches, 40, 5000, b"state %d" % batches)


def prompt_row(id_: int = 7, state: str = WAITING, expires_ms: int = 2000) -> PromptRow:
    return PromptRow(id_, 1, 1000, expires_ms, state, 0, b"payload")


def visit_row(visit: int = 4096, visitor: int = 5, dwell_ms: int = 0) -> VisitRow:
    return VisitRow("paris-1", visit, visitor, "coffee", 5000, dwell_ms)


def visits(*rows: VisitRow) -> dict[tuple[str, int], VisitRow | None]:
    return {(row.site, row.visit): row for row in rows}


def vault_row(handle: int) -> VaultRow:
    return VaultRow(handle, digest_of(handle), b"k%015d" % handle, b"sealed %d" % handle)


def identity_row(handle: int, kind: str = "eid", clock: bytes = b"clock") -> IdentityRow:
    return IdentityRow(handle, kind, 77, 10, b"sealed key %d" % handle, clock)


def digest_of(handle: int) -> bytes:
    return b"d%015d" % handle


def subject_row(
    handle: int, as_of: int = 1, day: int = 0, *, is_stranger: bool = False, body: bytes = b"who"
) -> SubjectRow:
    return SubjectRow(handle, as_of, day, is_stranger, body)


def subjects(*rows: SubjectRow) -> dict[int, SubjectRow]:
    return {row.handle: row for row in rows}


def everything() -> Writes:
    """One of each kind."""
    return Writes(
        log=[log_row(1), LogRow(2, "shop", None, 0, 0, 0, BATCH, 6000, 0, 1, b"web")],
        devices={1: device_row()},
        epochs={(1, 2): epoch_row(), (1, 1): None},
        prompts={7: prompt_row()},
        visits=visits(visit_row()),
        collected={b"k" * 16: 2},
        set_aside=[(1, 2, 9, b"bad")],
        vault=[vault_row(5), vault_row(9)],
        identities={(5, "eid"): identity_row(5), (9, "irk"): None},
        subjects=subjects(subject_row(0), subject_row(5)),
        watermark=1,
    )


class Content(NamedTuple):
    """All that a store tells of itself."""

    log: list[LogRow]
    devices: list[DeviceRow]
    epochs: list[EpochRow]
    prompts: list[PromptRow]
    visits: list[VisitRow]
    collected: set[bytes]
    handles: dict[bytes, int]
    vault: dict[int, VaultRow]
    identities: list[IdentityRow]
    subjects: list[SubjectRow]
    erased: set[int]
    marks: Marks


def content(
    store: Store, keys: Iterable[bytes] = (b"k" * 16,), handles: Iterable[int] = range(4, 64)
) -> Content:
    """What is in it; of keys and of the vault, what is there of these."""
    handles = list(handles)
    return Content(
        list(store.log()),
        sorted(store.devices(), key=lambda row: row.device),
        sorted(store.epochs(), key=lambda row: (row.device, row.epoch)),
        sorted(store.prompts(), key=lambda row: row.id),
        sorted(store.visits(), key=lambda row: (row.site, row.visit)),
        store.collected(list(keys)),
        dict(store.handles([digest_of(handle) for handle in handles])),
        dict(store.vault_rows(handles)),
        sorted(store.identities(), key=lambda row: (row.handle, row.kind)),
        list(store.all_subjects()),
        store.erased(),
        store.marks(),
    )
