"""A tenant's folder with a bit of everything in it, and what was sent to it."""

from pathlib import Path

from cloud_bridge.registry import Registry
from cloud_bridge.store import Writes
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import START_MS, SUITE, LittleDevice
from tests.cloud_bridge.rig import Rig

HOUR_MS = 3_600_000
# What must never be shown.
PERSONAL = ("ble:17", "loyalty:4711", "cookie:5f3a", "4711", "5f3a")


def make_day(rig: Rig) -> LittleDevice:
    """Two talking devices, a new one, a revoked one; gaps, a malformed batch, web, a prompt.

    Of the gateway's epoch 0: hello, 2 batches of 20 and 1 touchpoints, number 2 and 3 shed, 5 to 7
    missing, 4 malformed, 8 a batch of 3. Of the kiosk: hello, a batch of 1. All from START_MS on.
    """
    gateway = rig.enrol("gateway-1")
    kiosk = rig.enrol("kiosk-1", surface="kiosk", zone="coffee")
    gone = rig.enrol("gone")
    enter = make("visit.enter", START_MS, visit=1, visitor="ble:17", zone="coffee")
    rig.send(gateway, gateway.start(now_ms=START_MS))
    rig.send(kiosk, kiosk.start(now_ms=START_MS))
    rig.send(gone, gone.start(now_ms=START_MS))
    events = (
        b'{"type":"page.view","page":"/coffee","category":"coffee"},'
        b'{"type":"identify","known_as":"loyalty:4711","method":"login"},'
        b'{"type":"consent","purpose":"in_store_prompts","granted":true}'
    )
    for id_ in (b"a", b"b"):
        body = b'{"site":"shop","session":"cookie:5f3a","id":"%s","events":[%s]}' % (id_, events)
        assert not rig.collect(body)
    seen = make("identify", START_MS, seen="ble:17", known_as="loyalty:4711", method="app")
    rig.send(gateway, gateway.rows(seen))  # 1
    gateway.rows(enter), gateway.rows(enter)  # 2 and 3 are lost
    rig.send(gateway, gateway.seal(1, b"no rows"))  # 4
    for _ in range(3):
        gateway.rows(enter)  # 5 to 7 are on the way
    rig.send(gateway, gateway.columns(*[enter] * 20))  # 8
    rig.send(gateway, gateway.notice((0, 2, 3, 40, 0)))  # 9
    rig.clock.ms += 2 * HOUR_MS
    rig.send(kiosk, kiosk.rows(make("page.view", rig.clock.ms, session="tablet:1", page="/a")))
    with rig.registry_of_another() as registry:
        registry.revoke(gone.number)
    rig.enrol("spare")
    rig.send(kiosk, kiosk.rows(make("page.view", rig.clock.ms, session="tablet:1", page="/a")))
    return gateway


def second_tenant(data: Path, name: str = "brand") -> None:
    """Another tenant with one device, for which no bridge has run."""
    with Registry(data / name).opened(name) as registry:
        registry.enrol(SUITE, "rome-1", "gateway-1", "", "")


def erase(rig: Rig, handles: list[int]) -> None:
    """As a bridge does that is asked to, but without an end: nothing scrubs the log."""
    rig.store.commit(Writes(erased=handles))


def traces(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What would betray that somebody was there. Opens no file: that would drop SQLite's locks."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.stat()
        found[str(path)] = status.st_mtime_ns, status.st_size, status.st_mode
    return found
