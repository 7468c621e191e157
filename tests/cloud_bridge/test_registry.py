"""Devices are enrolled, enrolled anew and revoked, by several processes at once."""

import stat
from pathlib import Path

import pytest

from cloud_bridge.errors import BridgeError
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
    with pytest.raises(ConfigError, match="--tenant"):
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


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    assert stat.S_IMODE(registry.path.stat().st_mode) == 0o600
    registry.close()
