"""The bridge's side of blocks: what is lent to which store's file, and what came back.

A number that is out comes back in two ways only: its store's file reports that it does not hold it,
or an operator writes its block off. No clock is among them.
"""

import heapq
from collections.abc import Iterable
from dataclasses import replace

from edge_sdk.numbers.blocks import Block, Reply, Report, block_of
from edge_sdk.numbers.lease import Lease
from edge_sdk.numbers.ledger_rows import (
    COOLING,
    LENT_OUT,
    OPEN,
    QUARANTINED,
    RETURNED,
    WRITTEN_OFF,
    BlockRow,
    NumberRow,
    Rows,
    StoreRow,
)
from edge_sdk.numbers.lending import MAX_HOLDER, Lending, merged

# So many reports of a file are told from others with the same count.
REMEMBERED_REPORTS = 16
# So many files of a site are known beside those that hold something.
_IDLE_FILES = 2


class Stores:
    """Blocks, and the files of stores that hold them. Its owner has let time pass before."""

    def __init__(self, lending: Lending, tenant: str) -> None:
        self.blocks: dict[int, BlockRow] = {}
        self.files: dict[tuple[str, str], StoreRow] = {}
        self.strange_leases = 0
        self._lending = lending
        self._tenant = tenant
        self._open: dict[tuple[str, str], list[int]] = {}
        self._closed: list[tuple[int, int]] = []  # (when to forget, block)
        self._blocks_changed: dict[int, BlockRow] = {}
        self._files_changed: dict[tuple[str, str], StoreRow] = {}
        self._blocks_gone: list[int] = []
        self._files_gone: list[tuple[str, str]] = []

    # Out and back

    def lend(self, site: str, incarnation: str, count: int, lasts_ms: int) -> BlockRow | None:
        """A new block of so many numbers, or as many as are free; None if that is none."""
        lending = self._lending
        numbers: list[str] = []
        while len(numbers) < count and (number := lending.take_free()) is not None:
            numbers.append(number)
        if not numbers:
            return None
        id_ = lending.counters.blocks + 1
        lending.counters = replace(lending.counters, blocks=id_)
        for number in numbers:
            lending.put_out(NumberRow(number, LENT_OUT, id_))
        now_ms = lending.now_ms
        row = BlockRow(id_, site, incarnation, tuple(numbers), 1, now_ms, now_ms + lasts_ms)
        self.put(row)
        return row

    def renew(self, row: BlockRow, lasts_ms: int) -> BlockRow:
        """The same numbers for longer."""
        now_ms = self._lending.now_ms
        expires_ms = max(row.expires_ms, now_ms + lasts_ms)
        row = replace(row, serial=row.serial + 1, issued_ms=now_ms, expires_ms=expires_ms)
        return self.put(row)

    def write_off(self, row: BlockRow) -> BlockRow:
        """What is out of it rests from when the last of its leases can have ended."""
        lending = self._lending
        rested_ms = max(self.block(row).over_ms, lending.now_ms) + lending.terms.rest_ms
        for number in self._out(row):
            lending.set_aside(NumberRow(number, QUARANTINED, until_ms=rested_ms))
        return self._close(row, WRITTEN_OFF)

    def hear(self, site: str, report: Report) -> bool:
        """Note a report; whether what it says of numbers is to be acted upon."""
        key = site, report.incarnation
        file = self.files.get(key) or StoreRow(*key)
        digest = report.digest
        known = dict(file.reports)
        if report.count in known and known[report.count] != digest:
            file = replace(file, doubtful=True)
        elif report.count not in known:
            if file.reports and report.count < file.reports[0][0]:
                return False  # older than can be told from a copy's; a newer one said more
            latest = sorted([*file.reports, (report.count, digest)])[-REMEMBERED_REPORTS:]
            file = replace(file, reports=tuple(latest), heard_ms=self._lending.now_ms)
        if file != self.files.get(key):
            new = key not in self.files
            self.files[key] = self._files_changed[key] = file
            if new:
                self._forget_files(site)
        return not file.doubtful

    def take_back(self, site: str, report: Report) -> None:
        """What a file has seen and does not hold is back, and cools."""
        lending = self._lending
        for id_ in list(self._open.get((site, report.incarnation), ())):
            row = self.blocks[id_]
            if id_ > report.seen:
                continue
            held = set(report.holds.get(id_, (0, ()))[1])
            out = self._out(row)
            for number in out:
                if number not in held:
                    until_ms = lending.now_ms + lending.terms.cool_ms
                    lending.set_aside(NumberRow(number, COOLING, until_ms=until_ms))
            if held.isdisjoint(out):
                self._close(row, RETURNED)

    def serve(self, site: str, report: Report, at_most: int, lasts_ms: int) -> None:
        """Renew what is past half of its life, and lend what the file wants and may have."""
        now_ms = self._lending.now_ms
        held = 0
        for id_ in self._open.get((site, report.incarnation), ()):
            row = self.blocks[id_]
            held += len(self._out(row))
            if not row.recalled and row.expires_ms - now_ms < lasts_ms // 2:
                self.renew(row, lasts_ms)
        wanted = min(report.wants, at_most) - held
        if wanted > 0:
            self.lend(site, report.incarnation, wanted, lasts_ms)

    def reply(self, site: str, report: Report) -> Reply:
        """What the file has not yet, and what it has and should not."""
        key = site, report.incarnation
        file = self.files[key]
        mine = [self.blocks[id_] for id_ in self._open.get(key, ())]
        grants = [
            self.block(row)
            for row in mine
            if not file.doubtful
            and not row.recalled
            and (row.id > report.seen or row.serial > report.holds.get(row.id, (row.serial, ()))[0])
        ]
        kept = {row.id for row in mine if not row.recalled}
        leave = {id_ for id_ in report.holds if id_ not in kept}
        leave |= {row.id for row in mine if row.recalled and row.id > report.seen}
        return Reply(
            report.incarnation, report.count, file.last, tuple(grants), tuple(sorted(leave)),
            file.doubtful,
        )  # fmt: skip

    def learn(self, site: str, leases: Iterable[Lease]) -> None:
        """Leases that a site made of its blocks, those that were written off included."""
        for lease in leases:
            row = self.blocks.get(block_of(lease.id))
            if row is None or row.site != site or not _sound(lease, row, self._lending):
                self.strange_leases += 1
                continue
            known = self._lending.leases.get(lease.id)
            if known is not None and known.number != lease.number:
                self.strange_leases += 1
            elif known is None or merged(known, lease) != known:
                self._lending.remember(lease if known is None else merged(known, lease))

    def block(self, row: BlockRow) -> Block:
        """What is to be signed for the store."""
        lending = self._lending
        return Block(
            row.id, self._tenant, row.site, lending.pool, row.incarnation, row.serial, row.numbers,
            row.issued_ms, row.expires_ms, lending.terms, lending.fallback,
        )  # fmt: skip

    # Rows

    def put(self, row: BlockRow) -> BlockRow:
        """Keep a block as this row says."""
        key = row.site, row.incarnation
        if row.state == OPEN and row.id not in self.blocks:
            self._open.setdefault(key, []).append(row.id)
        self.blocks[row.id] = self._blocks_changed[row.id] = row
        return row

    def forget_old(self, now_ms: int) -> None:
        """Blocks that have been closed for as long as a lease is remembered."""
        while self._closed and self._closed[0][0] <= now_ms:
            _, id_ = heapq.heappop(self._closed)
            row = self.blocks.pop(id_)
            self._blocks_changed.pop(id_, None)
            self._blocks_gone.append(id_)
            self._forget_files(row.site)

    def changes(self, rows: Rows) -> Rows:
        """These rows, and what changed here since this was asked last."""
        if not (self._blocks_changed or self._files_changed or self._blocks_gone):
            return rows
        rows = replace(
            rows,
            blocks=tuple(self._blocks_changed.values()),
            stores=tuple(self._files_changed.values()),
            blocks_gone=tuple(self._blocks_gone),
            stores_gone=tuple(self._files_gone),
        )
        self._blocks_changed, self._files_changed = {}, {}
        self._blocks_gone, self._files_gone = [], []
        return rows

    def restore(self, rows: Rows) -> None:
        """Be what these rows say."""
        for row in sorted(rows.blocks, key=lambda row: row.id):
            self.blocks[row.id] = row
            if row.state == OPEN:
                self._open.setdefault((row.site, row.incarnation), []).append(row.id)
            else:
                self._closed.append((row.closed_ms + self._lending.terms.remember_ms, row.id))
        heapq.heapify(self._closed)
        self.files = {(row.site, row.incarnation): row for row in rows.stores}

    def _close(self, row: BlockRow, state: str) -> BlockRow:
        key = row.site, row.incarnation
        self._open[key].remove(row.id)
        if not self._open[key]:
            del self._open[key]
        now_ms = self._lending.now_ms
        heapq.heappush(self._closed, (now_ms + self._lending.terms.remember_ms, row.id))
        return self.put(replace(row, state=state, closed_ms=now_ms))

    def _out(self, row: BlockRow) -> list[str]:
        """The numbers of a block that are out still."""
        rows = (self._lending.rows[number] for number in row.numbers)
        return [mine.number for mine in rows if mine.state == LENT_OUT and mine.block == row.id]

    def _forget_files(self, site: str) -> None:
        """A site that begins a new file every hour does not fill the memory."""
        idle = [key for key in self.files if key[0] == site and key not in self._open]
        idle.sort(key=lambda key: (self.files[key].heard_ms, key))
        for key in idle[:-_IDLE_FILES]:
            del self.files[key]
            self._files_changed.pop(key, None)
            self._files_gone.append(key)


def _sound(lease: Lease, row: BlockRow, lending: Lending) -> bool:
    """Whether a store can have made this lease of that block."""
    ended_ms = lease.until_ms if lease.ended_ms is None else lease.ended_ms
    return (
        lease.number in row.numbers
        and lease.pool == lending.pool
        and len(lease.holder) <= MAX_HOLDER
        and lease.since_ms <= min(lease.until_ms, ended_ms)
        and ended_ms <= row.expires_ms + 2 * (lending.terms.session_ms + lending.terms.grace_ms)
    )
