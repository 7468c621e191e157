"""A tenant's number pools, in its working thread: who holds which number, and who has called.

What an operation changes goes into the turn that answers it, so a number is shown only once its
lease is on disk. Holders are handles of the vault ("h:17"): no identifier lies here. A lease is
also a fact of the log, the touchpoint `number.lease`.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

import msgspec

from cloud_bridge import pool_rows
from cloud_bridge.numbers_file import PoolSpec
from cloud_bridge.pool_rows import MODEL, PoolRow
from cloud_bridge.turn import Turn
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.attribution import NAMED, Attribution, attribute
from edge_sdk.numbers.delay_model import DelayModel
from edge_sdk.numbers.lease import KINDS, PLACE, SESSION, Lease
from edge_sdk.numbers.ledger_rows import OPEN, Done, Rows
from edge_sdk.numbers.pool import LENDER, Pool
from edge_sdk.numbers.terms import FOREVER_MS, Terms

log = logging.getLogger(__name__)

HANDLE: Final = "h:"
# How often the model of delays is fitted, and of how many quiet visitors at most.
_FIT_MS: Final = 3_600_000
_MOST_WAITING: Final = 20_000
_MOST_CALLED: Final = 50_000
# Whoever has not called a day after she was lent a number counts as one who does not: told at the
# lease's end, every slow caller would teach that her score is worth less than it is.
_CALLS_WITHIN_MS: Final = 86_400_000
_MOST_AWAITED: Final = 50_000
_TICK_MS: Final = 5_000

# Of a restored pool until its spec is read: time ends no lease, and makes none forgotten.
_UNKNOWN: Final = Terms(grace_ms=FOREVER_MS // 8, remember_ms=FOREVER_MS // 8)

_pack = msgspec.msgpack.Encoder().encode


class Storage(Protocol):
    """What is read at a start. Raises StorageError."""

    def pool_rows(self) -> Iterable[PoolRow]: ...


@dataclass(frozen=True, slots=True)
class Named:
    """Who held a number when it was dialled (`calling.Named`)."""

    handle: int | None
    sure: float
    why: tuple[str, ...]
    candidates: tuple[int, ...]
    place: str | None


class _Awaited(NamedTuple):
    """A visitor who may still call, until then."""

    until_ms: int
    lease: str
    intent: float | None


@dataclass(slots=True)
class _Known:
    """A pool, what it is wanted to be, and what its callers taught.

    order    in which its numbers are lent; it has counted what intent scores are worth
    agreed   it has had a spec since the start. Before, its terms are not known
    awaited  leases that have ended, of which it is not yet told whether their holders called
    """

    pool: Pool
    spec: PoolSpec | None
    order: Allocation
    agreed: bool = False
    awaited: deque[_Awaited] = field(default_factory=deque)
    model: DelayModel = field(default_factory=DelayModel)
    called: dict[str, float] = field(default_factory=dict)  # lease -> how probably it has called
    fitted_ms: int = 0


class Pools:
    """`restore` and `planned`; then `lend`, `heartbeat`, `release`, and what calling asks."""

    def __init__(self, tenant: str, counted: Counter[str]) -> None:
        self._tenant = tenant
        self._counted = counted
        self._pools: dict[str, _Known] = {}
        self._of: dict[str, str] = {}  # number -> pool
        self._ticked_ms = 0

    def __len__(self) -> int:
        return len(self._pools)

    def restore(self, storage: Storage) -> None:
        """Be what was stored. Raises StorageError."""
        rows: dict[str, list[PoolRow]] = {}
        for row in storage.pool_rows():
            rows.setdefault(row.pool, []).append(row)
        for name, listed in rows.items():
            order = Allocation((), split=True)
            lender = _lender(name)
            stored = pool_rows.read(listed)
            pool = Pool.restored(
                name, order, stored, tenant=self._tenant, terms=_UNKNOWN, lender=lender
            )
            known = self._pools[name] = _Known(pool, None, order)
            for row in listed:
                if row.kind == MODEL:
                    known.model = _model(row.body)
            self._of.update(dict.fromkeys((row.number for row in pool.rows().numbers), name))

    def planned(self, turn: Turn, specs: Sequence[PoolSpec], now_ms: int) -> None:
        """The pools as the tenant wants them now."""
        wanted = {spec.name: spec for spec in specs}
        for name, known in self._pools.items():
            if name not in wanted:
                known.spec = None  # it lends nothing more; its calls are still told apart
        for name, spec in wanted.items():
            known = self._agreed(spec)
            self._add(turn, name, known, now_ms)
            for block in known.pool.blocks.values():
                if block.id in spec.written_off and block.state == OPEN:
                    self._did(turn, name, known.pool.write_off(block.id, now_ms))
                elif block.id in spec.recalled and block.state == OPEN and not block.recalled:
                    self._did(turn, name, known.pool.recall(block.id, now_ms))

    def _agreed(self, spec: PoolSpec) -> _Known:
        known = self._pools.get(spec.name)
        if known is not None and known.spec is None:
            known.pool, known.order = self._pool(spec, known.pool.rows())  # it had no terms
        elif known is not None and known.spec is not None:
            if (known.spec.terms, known.spec.fallback, known.spec.split) != (
                spec.terms, spec.fallback, spec.split,
            ):  # fmt: skip
                known.pool, known.order = self._pool(spec, known.pool.rows())
        else:
            pool, order = self._pool(spec, Rows())
            known = self._pools[spec.name] = _Known(pool, spec, order)
        known.spec, known.agreed = spec, True
        return known

    def _pool(self, spec: PoolSpec, rows: Rows) -> tuple[Pool, Allocation]:
        order = Allocation((), split=spec.split)
        pool = Pool.restored(
            spec.name,
            order,
            rows,
            tenant=self._tenant,
            terms=spec.terms,
            fallback=spec.fallback,
            lender=_lender(spec.name),
        )
        return pool, order

    def _add(self, turn: Turn, name: str, known: _Known, now_ms: int) -> None:
        assert known.spec is not None
        there = {row.number for row in known.pool.rows().numbers}
        wanted = set(known.spec.numbers)
        elsewhere = {number for number in wanted - there if self._of.get(number, name) != name}
        if elsewhere:
            log.error("pool %s: %d numbers are another pool's still", name, len(elsewhere))
        fresh = [n for n in known.spec.numbers if n not in there and n not in elsewhere]
        done = known.pool.add(fresh, now_ms)
        if done.refused:
            log.error("pool %s: no number was added: %s", name, done.refused)
        else:
            self._of.update(dict.fromkeys(fresh, name))
        self._did(turn, name, done)
        for number in there - wanted:
            self._did(turn, name, known.pool.retire(number, now_ms))
        for number in there & wanted:
            if known.pool.state(number, now_ms) == "retired":
                self._did(turn, name, known.pool.reinstate(number, now_ms))

    # Lending

    def find(self, name: str | None) -> PoolSpec | None:
        """A pool that lends; of none named, the first of the file."""
        for known in self._pools.values():
            if known.spec is not None and name in (None, known.spec.name):
                return known.spec
        return None

    def lend(
        self, turn: Turn, name: str, holder: str, now_ms: int, *, kind: str, intent: float | None
    ) -> Done:
        """A number for a holder, of a pool that `find` has found."""
        known = self._pools[name]
        done = known.pool.lend(holder, now_ms, kind=kind, intent=intent)
        self._did(turn, name, done)
        if done.lease is None:
            self._counted["numbers.fallback"] += 1
        elif done.lease.since_ms == now_ms:
            self._counted["numbers.lent"] += 1
        return done

    def heartbeat(
        self, turn: Turn, lease_id: str, now_ms: int, kinds: Sequence[str] = KINDS
    ) -> Done | None:
        """The holder is there still; None: no pool has this lease, or it is of no such kind."""
        name = self._with(lease_id, kinds)
        if name is None:
            return None
        done = self._pools[name].pool.heartbeat(lease_id, now_ms)
        self._did(turn, name, done)
        return done

    def release(
        self, turn: Turn, lease_id: str, now_ms: int, kinds: Sequence[str] = KINDS
    ) -> Done | None:
        """The holder has gone; None: no pool has this lease, or it is of no such kind."""
        name = self._with(lease_id, kinds)
        if name is None:
            return None
        known = self._pools[name]
        if not known.agreed:  # what she is guaranteed is not known: her lease ends by itself
            return Done(Rows(), known.pool.lease(lease_id))
        done = known.pool.release(lease_id, now_ms)
        self._did(turn, name, done)
        return done

    def _with(self, lease_id: str, kinds: Sequence[str]) -> str | None:
        for name, known in self._pools.items():
            lease = known.pool.lease(lease_id)
            if lease is not None:
                return name if lease.kind in kinds else None
        return None

    def live(self) -> Iterator[Lease]:
        """The leases that have not ended."""
        for known in self._pools.values():
            for lease in known.pool.rows().leases:
                if lease.ended_ms is None:
                    yield lease

    def erase(self, turn: Turn, handles: Iterable[int], now_ms: int) -> None:
        """Forget who held: leases of these stay, of nobody."""
        for handle in handles:
            for name, known in self._pools.items():
                self._did(turn, name, known.pool.erase(f"{HANDLE}{handle}", now_ms))

    def tick(self, turn: Turn, now_ms: int) -> None:
        """What time alone does: leases end, numbers rest and are free again; models learn."""
        if 0 <= now_ms - self._ticked_ms < _TICK_MS:
            return
        self._ticked_ms = now_ms
        for name, known in self._pools.items():
            if not known.agreed:
                continue
            self._did(turn, name, known.pool.tick(now_ms))
            _learn(known, now_ms)
            if now_ms - known.fitted_ms >= _FIT_MS and known.model.confirmed:
                self._fit(turn, name, known, now_ms)

    def _fit(self, turn: Turn, name: str, known: _Known, now_ms: int) -> None:
        """Some 10 ms. Whoever has not called is evidence as well."""
        known.fitted_ms = now_ms
        sessions = [lease for lease in known.pool.rows().leases if lease.kind == SESSION]
        waiting = [
            max(0, now_ms - lease.since_ms) / 1000
            for lease in sessions[-_MOST_WAITING:]
            if lease.id not in known.called
        ]
        known.model.fit(waiting, draws=0)
        turn.writes.pools[name, MODEL, ""] = PoolRow(name, MODEL, "", _pack(known.model.state()))

    def _did(self, turn: Turn, name: str, done: Done) -> None:
        if not done.changes:
            return
        for row in pool_rows.written(name, done.changes):
            turn.writes.pools[row.pool, row.kind, row.key] = row
        turn.leases += done.changes.leases
        for lease in done.changes.leases:
            if lease.ended_ms is not None and lease.kind == SESSION:
                until_ms = lease.since_ms + _CALLS_WITHIN_MS
                self._pools[name].awaited.append(_Awaited(until_ms, lease.id, lease.intent))

    # What calling asks (`calling.Numbers`)

    def pool_of(self, number: str) -> str:
        """The pool that a number is of, or ""."""
        return self._of.get(number, "")

    def named(self, number: str, at_ms: int, lease: str | None) -> Named | None:
        """Who probably dialled it then; None: it is of no pool."""
        name = self._of.get(number)
        if name is None:
            return None
        known = self._pools[name]
        past = known.pool.past(number)
        # What a score is worth as counted, not what it claims: nothing, until it is known to tell.
        lift, rate = known.order.check.lift, known.model.call_rate
        found = attribute(
            at_ms, past, known.model, chance=lambda i: rate * lift(i), called=known.called
        )
        return _named(found, past, at_ms, lease)

    def called(self, number: str, at_ms: int, handle: int | None, *, confirmed: bool) -> None:
        """A call was joined to a holder, or to nobody; `confirmed` by something else as well."""
        name = self._of.get(number)
        if name is None:
            return
        known = self._pools[name]
        hers = [
            lease
            for lease in known.pool.past(number)
            if lease.holder == f"{HANDLE}{handle}" and lease.since_ms <= at_ms
        ]
        if handle is None or not hers:
            known.model.unconfirmed()
            return
        if len(known.called) >= _MOST_CALLED:
            del known.called[next(iter(known.called))]
        known.called[hers[-1].id] = 1.0
        if confirmed:
            known.model.called((at_ms - hers[-1].since_ms) / 1000)
        else:
            known.model.unconfirmed()

    def health(self, now_ms: int) -> Mapping[str, object]:
        """How many numbers are in each state, by pool, and how often none was free."""
        return {
            name: {**known.pool.counts(now_ms), "fallbacks": known.pool.fallbacks}
            for name, known in list(self._pools.items())
        }


def _learn(known: _Known, now_ms: int) -> None:
    """Whether visitors have called, once most who ever will have had the time for it."""
    awaited = known.awaited
    while awaited and (awaited[0].until_ms <= now_ms or len(awaited) > _MOST_AWAITED):
        one = awaited.popleft()
        known.pool.learned(one.intent, one.lease in known.called)


def _named(found: Attribution, past: Sequence[Lease], at_ms: int, lease: str | None) -> Named:
    why = [f"lease: {candidate.why}" for candidate in found.candidates[:1]]
    if found.reason != NAMED:
        why.append(f"lease: nobody is named ({found.reason.replace('_', ' ')})")
    if lease is not None and found.named is not None and found.named.lease.id == lease:
        why.append("lease: the line knew it when it rang")
    named = found.named.lease.holder if found.named is not None else ""
    handles = [_handle(candidate.lease.holder) for candidate in found.candidates]
    place = next(
        (
            held.holder.partition(":")[2]
            for held in reversed(past)
            if held.kind == PLACE and held.since_ms <= at_ms < (held.ended_ms or FOREVER_MS)
        ),
        None,
    )
    return Named(
        _handle(named),
        found.sure,
        tuple(why),
        tuple(handle for handle in handles if handle is not None),
        place,
    )


def _lender(pool: str) -> str:
    """A lease is named without its pool: two pools of a tenant give no two the same id."""
    return f"{LENDER}.{pool}"


def _handle(holder: str) -> int | None:
    return int(holder[len(HANDLE) :]) if holder.startswith(HANDLE) else None


def _model(body: bytes) -> DelayModel:
    try:
        return DelayModel.of(msgspec.msgpack.decode(body, type=dict[str, list[float]]))
    except (ValueError, msgspec.MsgspecError):
        log.error("what a pool had learnt of delays cannot be read; it begins anew")
        return DelayModel()


def public(lease: Lease) -> dict[str, object]:
    """A lease without its holder."""
    told = replace(lease, holder="")
    if told.ended_ms is not None:
        return {"ended": told.id}
    fields = ("id", "pool", "number", "kind", "since_ms", "until_ms")
    return {"lease": {name: getattr(told, name) for name in fields}}
