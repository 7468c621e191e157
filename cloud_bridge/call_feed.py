"""Screen pops as they happen, for agents' screens: each sees the calls of its site and group.

A screen that connects is first shown the calls that are under way, so that one that was cut off
knows what rings.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Final

from cloud_bridge.feed import Feed, encoded
from cloud_bridge.staff_door import EVERY_SITE
from cloud_bridge.turn import Event

MAX_LIVE: Final = 2000
_OVER: Final = ("ended", "missed")


class CallFeed:
    """`publish` pops on the event loop; `watch` yields server-sent events."""

    def __init__(self) -> None:
        self._feed = Feed()
        self._live: OrderedDict[tuple[str, str, str], Event] = OrderedDict()

    @property
    def watchers(self) -> int:
        """How many screens watch."""
        return self._feed.watchers

    @property
    def dropped(self) -> int:
        """How many pops slow screens have lost."""
        return self._feed.dropped

    def publish(self, tenant: str, pops: Iterable[Event]) -> None:
        """Hand a tenant's pops to the screens that they are for."""
        pops = list(pops)
        for pop in pops:
            key = tenant, str(pop.fields["site"]), str(pop.fields["call"])
            self._live.pop(key, None)
            if pop.fields["state"] not in _OVER:
                self._live[key] = pop
            while len(self._live) > MAX_LIVE:
                self._live.popitem(last=False)
        self._feed.publish(tenant, pops)

    def watch(self, tenant: str, site: str, group: str | None) -> AsyncIterator[bytes]:
        """One screen's stream: what is under way, then what happens."""

        def wanted(of: str, pop: Event) -> bool:
            return (
                of == tenant
                and site in (pop.fields["site"], EVERY_SITE)
                and group in (None, pop.fields["group"])
            )

        live = [encoded(of, pop) for (of, _, _), pop in list(self._live.items()) if wanted(of, pop)]
        return self._feed.watch(wanted, live)

    def close(self) -> None:
        """End every stream."""
        self._feed.close()
