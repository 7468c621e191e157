"""Devices are enrolled, enrolled anew and revoked, by several processes at once."""

import stat
from pathlib import Path

import pytest

from cloud_bridge.clock import SystemClock
from cloud_bridge.errors import BridgeError, KeyRefusedError
from cloud_bridge.key_watch import KeyWatch
from cloud_bridge.keys import KeyRing, digest_of
from cloud_bridge.registry import Registry
from edge_sdk.errors import ConfigError
from edge_sdk.wire.enrolment import from_token, to_token
from edge_sdk.wire.keys import root_key
from tests.cloud_bridge.little_device import SUITE


def opened(home: Path, tenant: str | None = "acme") -> Registry:
    registry = Registry(home)
    registry.open(tenant)
    return registry


def test_a_device_gets_a_token_and_the_bridge_its_root_key(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    enrolment = from_token(to_token(registry.enrol(SUITE, "paris-1", "kiosk-1", "kiosk", "shoes")))
    (device,) = registry.devices()
    assert (device.number, device.generation, device.revoked) == (1, 0, False)
    assert (device.surface, device.zone) == ("kiosk", "shoes")
    assert device.root_key == root_key(SUITE, "acme", "paris-1", enrolment.secret)
    assert "root_key" not in repr(device)
    registry.forget_keys([(1, 1)])  # of another enrolment
    assert registry.devices()[0].root_key is not None
    registry.forget_keys([(1, 0)])
    assert registry.devices()[0].root_key is None
    registry.close()


def test_the_same_name_is_the_same_device_anew(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    first = registry.enrol(SUITE, "paris-1", "kiosk-1", "", "")
    assert registry.enrol(SUITE, "paris-2", "kiosk-1", "", "").device == 2
    registry.revoke(first.device)
    again = registry.enrol(SUITE, "paris-1", "kiosk-1", "", "")
    assert (again.device, again.generation) == (first.device, 1)
    assert again.secret != first.secret
    assert [device.revoked for device in registry.devices()] == [False, False]
    registry.close()


def test_another_process_sees_what_changed(tmp_path: Path) -> None:
    bridge, operator = opened(tmp_path), opened(tmp_path, None)
    before = bridge.version()
    assert bridge.version() == before
    operator.enrol(SUITE, "paris-1", "kiosk-1", "", "")
    assert bridge.version() != before
    assert len(bridge.devices()) == 1
    bridge.close()
    operator.close()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tenant has this folder"):
        opened(tmp_path, None)
    with pytest.raises(ConfigError, match="tenant"):
        opened(tmp_path, "No Spaces")
    registry = opened(tmp_path)
    with pytest.raises(ConfigError, match="acme"), Registry(tmp_path).opened("other"):
        pass
    for site, name in (("", "kiosk"), ("paris", ""), ("p" * 65, "kiosk"), ("paris", "a\nb")):
        with pytest.raises(BridgeError):
            registry.enrol(SUITE, site, name, "", "")
    with pytest.raises(BridgeError, match="00000063"):
        registry.revoke(99)
    registry.close()


def test_of_an_api_key_only_the_digest_is_kept(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    origins = ["https://shop.example", "http://localhost:3000"]
    first, key = registry.add_key("web-shop", origins, 10, 20, 5)
    second, other = registry.add_key("app", [], 1, 1, 6)
    assert (first, second) == (1, 2)
    row = registry.api_keys()[0]
    assert (row.site, row.digest, row.origins) == ("web-shop", digest_of(key), tuple(origins))
    assert (row.rate_per_s, row.burst, row.created_ms, row.revoked) == (10, 20, 5, False)
    with pytest.raises(KeyRefusedError):
        registry.add_key("app", ["nowhere"], 1, 1, 0)
    with pytest.raises(BridgeError, match="9"):
        registry.revoke_key(9)
    registry.revoke_key(second)
    assert [row.revoked for row in registry.api_keys()] == [False, True]
    registry.close()
    held = registry.path.read_bytes()
    assert key.encode() not in held
    assert other.encode() not in held


def test_a_registry_of_before_there_were_keys_gets_the_table(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    registry._connection().execute("DROP TABLE keys")
    registry.close()
    again = opened(tmp_path, None)
    assert again.api_keys() == []
    again.close()


def test_a_watch_follows_what_another_process_does(tmp_path: Path) -> None:
    bridge, operator, ring = opened(tmp_path), opened(tmp_path, None), KeyRing()
    watch = KeyWatch(bridge, ring, SystemClock())
    id_, key = operator.add_key("shop", [], 1, 1, 0)
    watch.look()
    site = ring.find(key)
    assert site is not None
    assert (site.tenant, site.site) == ("acme", "shop")
    watch.look(well=True)
    assert ring.find(key) is site
    operator.revoke_key(id_)
    watch.look(well=True)
    assert ring.find(key) is None
    operator.close()
    bridge.close()
    bridge.path.unlink()
    watch.look()  # logged; the keys stay as they are


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    assert stat.S_IMODE(registry.path.stat().st_mode) == 0o600
    registry.close()
