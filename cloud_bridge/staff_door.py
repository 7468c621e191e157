"""Who may reach what no web page may: whoever has the API key of a site that has no origins.

A key that stands in a page is known to everybody, so one with origins opens nothing here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cloud_bridge.clock import Clock
from cloud_bridge.collect_desk import key_in
from cloud_bridge.keys import KeyRing, Site

Answer = tuple[int, dict[str, Any]]

# A key of this site is one of the whole tenant.
EVERY_SITE = "*"


class StaffDoor:
    """`admit` a head. `look` brings the ring of keys up to date."""

    def __init__(self, clock: Clock, keys: KeyRing, look: Callable[[], None]) -> None:
        self._clock = clock
        self._keys = keys
        self._look = look

    def admit(self, head: Mapping[bytes, bytes]) -> Site | Answer:
        """Whose key it is; or what is answered to whoever has none that opens this."""
        site = self._site(head)
        if site is None:
            return 401, {"error": "an API key is needed: Authorization: Bearer KEY"}
        if site.origins or b"origin" in head:
            return 403, {"error": "a key that web pages may use does not open this"}
        if site.bucket.admit(self._clock.steady_s()) > 0:
            return 429, {"error": "too many for this key; come again"}
        return site

    def _site(self, head: Mapping[bytes, bytes]) -> Site | None:
        key = key_in(head)
        if key is None:
            return None
        site = self._keys.find(key)
        if site is None:
            self._look()
            site = self._keys.find(key)
        return site
