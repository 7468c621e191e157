"""The desk of /calls: who gave up and waits to be called back, and what a call came to.

The list holds telephone numbers, since somebody has to dial them: it is for the tenant's own agents
(cloud_bridge/staff_door.py), and a number leaves it once it has been called, or after its days.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from cloud_bridge.calling import told_of
from cloud_bridge.clock import Clock
from cloud_bridge.errors import StalledError
from cloud_bridge.keys import Site
from cloud_bridge.staff_door import EVERY_SITE, Answer, StaffDoor
from cloud_bridge.store import CallRow
from cloud_bridge.turn import Collected
from edge_sdk.wire.touchpoint import make

MAX_BODY_BYTES = 4096
MAX_LISTED = 1000
# A commit takes a millisecond; whoever waits so long is better told to come again.
ANSWER_S = 10.0

_Text = Annotated[str, Meta(min_length=1, max_length=128)]


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """A body of POST /calls/outcomes. `site`: where the key is of the whole tenant."""

    call: _Text
    outcome: _Text
    agent: _Text | None = None
    site: _Text | None = None


_outcome = msgspec.json.Decoder(Outcome)


class CallsDesk:
    """`callbacks` and `outcome` answer requests.

    waiting  a tenant's calls that nobody has called back
    number   opens what is sealed in a row of a tenant's; None: it cannot be read any more
    collect  takes a body; once it is durable, whether it was there before. Raises StalledError
    """

    def __init__(
        self,
        clock: Clock,
        door: StaffDoor,
        *,
        waiting: Callable[[str], Sequence[CallRow]],
        number: Callable[[str, bytes], str | None],
        collect: Callable[[str, Collected], Awaitable[bool]],
    ) -> None:
        self._clock = clock
        self._door = door
        self._waiting = waiting
        self._number = number
        self._collect = collect

    def admit(self, head: Mapping[bytes, bytes]) -> Site | Answer:
        """See StaffDoor."""
        return self._door.admit(head)

    def callbacks(self, head: Mapping[bytes, bytes], group: str | None) -> Answer:
        """Who waits, of one group or of all, the longest first."""
        site = self.admit(head)
        if isinstance(site, tuple):
            return site
        rows = [row for row in self._waiting(site.tenant) if site.site in (row.site, EVERY_SITE)]
        rows.sort(key=lambda row: (row.seen_ms, row.call))
        listed: list[dict[str, Any]] = []
        for row in rows:
            known = told_of(row)
            if group in (None, known.group) and len(listed) < MAX_LISTED:
                call = known.call
                listed.append(
                    {
                        "call": row.call,
                        "site": row.site,
                        "group": known.group,
                        "at_ms": call.began_ms,
                        "waited_ms": call.waited_ms,
                        "dialled": call.number,
                        "caller": self._number(site.tenant, row.sealed),
                    }
                )
        return 200, {"callbacks": listed}

    async def outcome(self, head: Mapping[bytes, bytes], raw: bytes) -> Answer:
        """What a call came to; "called_back" and "not_needed" take it off the list."""
        site = self.admit(head)
        if isinstance(site, tuple):
            return site
        if len(raw) > MAX_BODY_BYTES:
            return 413, {"error": f"a body has at most {MAX_BODY_BYTES} bytes"}
        try:
            told = _outcome.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return 422, {"error": "the body is not as described in /docs"}  # and is not repeated
        where = told.site if site.site == EVERY_SITE else site.site
        if where is None or told.site not in (None, where):
            return 422, {"error": "site: which site's call it is; a key of one site says it"}
        now_ms = self._clock.wall_ms()
        touchpoint = make(
            "call.outcome", now_ms, call=told.call, outcome=told.outcome, agent=told.agent
        )
        name = f"{where}\0outcome\0{told.call}\0{told.outcome}\0{told.agent}".encode()
        key = hashlib.sha256(name).digest()[:16]
        collected = Collected(key, where, now_ms, [touchpoint])
        try:
            async with asyncio.timeout(ANSWER_S):
                duplicate = await self._collect(site.tenant, collected)
        except (StalledError, TimeoutError):  # if it is taken yet, to say it again does no harm
            return 503, {"error": "try again"}
        return 202, {"duplicate": duplicate}
