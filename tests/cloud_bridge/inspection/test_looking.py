"""What is found is what was sent, while a bridge has the store open and after. No trace is left."""

import base64
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.inspection.as_json import as_json
from cloud_bridge.inspection.cli import exit_code
from cloud_bridge.inspection.facts import Count, Inspection
from cloud_bridge.inspection.looking import look
from cloud_bridge.inspection.of_store import Asked
from cloud_bridge.inspection.report import report
from edge_sdk.errors import ConfigError
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.inspection.day import (
    HOUR_MS,
    PERSONAL,
    erase,
    make_day,
    second_tenant,
    traces,
)
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.rig import Rig

NOW_MS = START_MS + 2 * HOUR_MS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of two tenants, whose bridge has ended."""
    with Rig(tmp_path / "acme") as rig:
        make_day(rig)
    second_tenant(tmp_path)
    return tmp_path


def text(inspection: Inspection, width: int = 120, **how: bool) -> str:
    chosen = {"every": True, "details": False, **how}
    return "\n".join(report(inspection, width, **chosen))


def contents(folder: Path) -> dict[str, str]:
    """Of files that no connection of this process has open."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_was_sent_is_found(data: Path) -> None:
    told = json.loads(json.dumps(as_json(look(data, None, NOW_MS, Asked(log_rows=100)))))
    assert told["form"] == 1
    assert told["bridge"]["state"] == "none"
    assert [f["rule"] for f in told["findings"]] == ["bridge"]
    acme, brand = told["tenants"]
    store = acme["store"]
    assert (
        store["log"]["rows"] == 9
    )  # a card, malformed, 20 visits, a notice, prompt, 2 web, 2 views
    assert (store["log"]["from_ms"], store["log"]["to_ms"]) == (START_MS, NOW_MS)
    assert store["log"]["touchpoints"] == {"value": 1 + 20 + 6 + 2, "exact": True}
    assert (store["tenant"], store["term"], store["set_aside"]) == ("acme", 1, 1)
    assert store["collected"] == {"value": 2, "exact": True}
    assert store["vault"]["handles"] == {"value": 4, "exact": True}
    assert store["vault"]["given_out"] == 4
    assert store["prompts"]["waiting"] + store["prompts"]["settled"]["value"] == 1
    assert store["snapshot"]["trouble"] == ""
    assert store["disk"]["file_bytes"] == (data / "acme/bridge.sqlite").stat().st_size
    assert sum(row["touchpoints"] for row in acme["rows"]) == 29
    assert [row["id"] for row in acme["rows"]] == list(range(9, 0, -1))
    assert {row["kind"] for row in acme["rows"]} == {"batch", "gaps", "decision"}
    assert (brand["verdict"], brand["store"], brand["unreadable"]) == ("ok", None, [])
    assert [device["state"] for device in brand["devices"]] == ["new"]


def test_devices_are_found(data: Path) -> None:
    gateway, kiosk, gone, spare = as_json(look(data, "acme", NOW_MS))["tenants"][0]["devices"]
    assert gateway["device"] == "00000001"
    assert (gateway["batches"], gateway["touchpoints"]) == (2, 21)
    assert (gateway["missing"], gateway["missing_ms"]) == (3, 2 * HOUR_MS)
    assert gateway["given_up"] == {"malformed": 1, "shed": 2}
    assert (gateway["set_aside"], gateway["newest_epoch"]) == (1, 0)
    assert gateway["heard_ms"] == START_MS
    assert (kiosk["batches"], kiosk["touchpoints"], kiosk["heard_ms"]) == (2, 2, NOW_MS)
    assert kiosk["surface"] == "kiosk"
    assert [d["state"] for d in (gateway, kiosk, gone, spare)] == ["in use"] * 2 + [
        "revoked",
        "in use",
    ]
    assert (gone["epochs_open"], spare["newest_epoch"], spare["heard_ms"]) == (0, None, None)


def test_one_device_with_its_gaps(data: Path) -> None:
    inspection = look(data, "acme", NOW_MS, Asked(device=1, log_rows=3))
    [tenant] = inspection.tenants
    [device] = tenant.devices
    assert device.epochs[0].missing == ((5, 7),)
    ranges = [(g.first, g.last, g.batches, g.reason) for g in device.given_up_ranges]
    assert ranges == [(4, 4, 1, "malformed"), (2, 3, 2, "shed")]
    assert {row.device for row in tenant.rows} == {1}
    shown = text(inspection, details=True)
    assert "5-7" in shown
    assert "1 malformed, 2 shed" in shown


def test_it_counts_what_the_wal_alone_has_and_leaves_no_trace(tmp_path: Path) -> None:
    with Rig(tmp_path / "acme") as rig:
        make_day(rig)
        before = traces(tmp_path)
        [tenant] = look(tmp_path, None, rig.clock.ms).tenants
        assert traces(tmp_path) == before
        assert tenant.store is not None
        assert tenant.store.log.touchpoints == Count(29)
        assert tenant.store.disk.wal_bytes > tenant.store.disk.file_bytes
        device = rig.devices[2]
        rig.send(device, device.rows(*[view(rig)] * 5))  # the bridge goes on as if nothing were
        [tenant] = look(tmp_path, None, rig.clock.ms).tenants
        assert tenant.store is not None
        assert tenant.store.log.touchpoints == Count(34)


def view(rig: Rig) -> Touchpoint:
    return make("page.view", rig.clock.ms, session="tablet:1", page="/b")


def test_it_leaves_no_trace_when_no_bridge_runs(data: Path) -> None:
    assert sorted(p.name for p in (data / "acme").glob("bridge*")) == [
        "bridge.lock",
        "bridge.sqlite",
    ]
    before, there = traces(data), contents(data)
    look(data, None, NOW_MS, Asked(full=True))
    assert (traces(data), contents(data)) == (before, there)


def test_whoever_has_the_lock_is_told_and_not_turned_away(tmp_path: Path) -> None:
    with Rig(tmp_path / "acme"):
        [tenant] = look(tmp_path, None, NOW_MS).tenants
        assert tenant.lock_pid == (os.getpid() if sys.platform == "linux" else None)
    [tenant] = look(tmp_path, None, NOW_MS).tenants
    assert tenant.lock_pid is None


def test_bridges_commit_while_others_look(tmp_path: Path) -> None:
    with Rig(tmp_path / "acme") as rig:
        gateway = rig.enrol()
        rig.send(gateway, gateway.start())
        ended = threading.Event()
        seen: list[int] = []

        def watch() -> None:
            while not ended.is_set():
                [tenant] = look(tmp_path, None, rig.clock.ms).tenants
                assert not tenant.unreadable
                assert tenant.store is not None
                seen.append(tenant.store.log.touchpoints.value)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for _ in range(100):
                assert rig.send(gateway, gateway.rows(view(rig)))
        finally:
            ended.set()
            watcher.join()
        assert seen == sorted(seen)
        assert seen[-1] <= 100


def as_somebody_else(folder: str, sent: Any) -> None:
    if os.geteuid() == 0:
        os.setgid(65_534)
        os.setuid(65_534)
    try:
        (Path(folder) / "acme/new").touch()
    except PermissionError:
        inspection = look(Path(folder), None, NOW_MS)
        [tenant] = inspection.tenants
        assert tenant.store is not None
        sent.send((tenant.unreadable, tenant.store.log.touchpoints.value))


@pytest.mark.skipif(sys.platform == "win32", reason="folders that may be read alone are POSIX")
@pytest.mark.parametrize("crashed", [False, True])
def test_a_folder_that_may_only_be_read(crashed: bool) -> None:
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders let nobody else in
        folder = Path(made)
        if crashed:
            crash(folder / "acme")
        else:
            with Rig(folder / "acme") as rig:
                make_day(rig)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            here, there = get_context("fork").Pipe(duplex=False)
            child = get_context("fork").Process(target=as_somebody_else, args=(made, there))
            child.start()
            there.close()
            told = here.recv() if here.poll(60) else None
            child.join()
        finally:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755)
    assert told == ((), 29)


def crash(home: Path) -> None:
    """A bridge's process that ends in the middle of everything."""

    def die() -> None:
        with Rig(home) as rig:
            make_day(rig)
            os._exit(9)

    child = get_context("fork").Process(target=die)
    child.start()
    child.join()
    assert child.exitcode == 9


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_after_a_crash_all_that_was_committed_is_counted(tmp_path: Path) -> None:
    crash(tmp_path / "acme")
    before, there = traces(tmp_path), contents(tmp_path)
    [tenant] = look(tmp_path, None, NOW_MS).tenants
    assert tenant.store is not None
    assert (tenant.store.log.touchpoints, tenant.unreadable) == (Count(29), ())
    assert (traces(tmp_path), contents(tmp_path)) == (before, there)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_copy_without_its_shm_is_read_as_far_as_it_goes_and_says_so(tmp_path: Path) -> None:
    crash(tmp_path / "acme")
    (tmp_path / "acme/bridge.sqlite-shm").unlink()
    before = traces(tmp_path)
    inspection = look(tmp_path, None, NOW_MS)
    assert traces(tmp_path) == before
    assert any("bridge.sqlite-wal is not counted" in note for note in inspection.tenants[0].notes)


def scribble(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[1024:] = b"\xa5" * (len(body) - 1024)
    path.write_bytes(body)


def by_sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        database = sqlite3.connect(path)
        for statement in statements:
            database.execute(statement)
        database.commit()
        database.close()

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (scribble, "damaged"),
        (lambda path: path.write_bytes(b"this is a letter" * 500), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "damaged"),
        (by_sql("UPDATE meta SET value = '1' WHERE name = 'version'"), "another version"),
        (by_sql("UPDATE meta SET value = '9' WHERE name = 'version'"), "another version"),
        (by_sql("DELETE FROM meta WHERE name = 'watermark'"), "marks are damaged"),
        (by_sql("DROP TABLE meta"), "not the store of a bridge"),
        (by_sql("DROP TABLE prompts"), "tables are not a bridge's"),
        (by_sql("UPDATE log SET received_ms = 'noon', touchpoints = x'00'"), "damaged"),
        (by_sql("UPDATE epochs SET state = x'0102030405'"), "damaged"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_others_are_shown(
    data: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    spoil(data / "acme/bridge.sqlite")
    inspection = look(data, None, NOW_MS, Asked(log_rows=5))
    acme, brand = inspection.tenants
    assert said in "".join(acme.unreadable)
    assert "acme: CANNOT BE READ" in text(inspection)
    assert "rome-1" in text(inspection)
    assert not brand.unreadable
    assert exit_code(inspection, check=False) == 1
    assert [d.name for d in acme.devices] in ([], ["gateway-1", "kiosk-1", "gone", "spare"])


def test_a_registry_that_cannot_be_read_leaves_the_store_s_devices(data: Path) -> None:
    scribble(data / "acme/devices.sqlite")
    inspection = look(data, "acme", NOW_MS)
    [tenant] = inspection.tenants
    assert "devices.sqlite" in tenant.unreadable[0]
    assert [device.batches for device in tenant.devices] == [2, 2, 0, 0]


def test_a_store_without_a_registry_is_shown(data: Path) -> None:
    (data / "acme/devices.sqlite").unlink()
    assert "not enrolled" not in text(look(data, "acme", NOW_MS))  # nobody can tell


def test_half_a_restore_is_seen(data: Path) -> None:
    by_sql("DELETE FROM devices WHERE device = 2")(data / "acme/bridge.sqlite")
    by_sql("DELETE FROM devices WHERE number = 1")(data / "acme/devices.sqlite")
    found = as_json(look(data, "acme", NOW_MS))["tenants"][0]["findings"]
    assert {("key", "00000002"), ("not_enrolled", "00000001")} <= {
        (f["rule"], f["device"]) for f in found
    }


def test_a_snapshot_that_does_not_fit_is_seen(data: Path) -> None:
    by_sql("UPDATE meta SET value = 77 WHERE name = 'watermark'")(data / "acme/bridge.sqlite")
    [finding] = [
        f
        for f in as_json(look(data, "acme", NOW_MS))["tenants"][0]["findings"]
        if f["rule"] == "snapshot"
    ]
    assert "up to 77, the log ends at 9" in finding["what"]


def test_what_is_erased_waits_to_be_scrubbed(tmp_path: Path) -> None:
    with Rig(tmp_path / "acme") as rig:
        make_day(rig)
    with Rig(tmp_path / "acme") as rig:
        rig.ingest.stop()  # nobody scrubs
        erase(rig, [4, 5, 6, 7, 8, 9, 10, 11])
        [tenant] = look(tmp_path, None, NOW_MS).tenants
    assert tenant.store is not None
    assert tenant.store.vault.erased_waiting == 8
    assert tenant.store.vault.handles.value < 4
    assert tenant.store.vault.given_out == 4


def test_a_store_of_another_tenant_is_seen(data: Path) -> None:
    (data / "acme").rename(data / "acne")
    found = as_json(look(data, "acne", NOW_MS))["tenants"][0]["findings"]
    assert "foreign" in {finding["rule"] for finding in found}


@pytest.mark.parametrize(
    ("folder", "tenant", "said"),
    [
        ("none", None, "no such folder"),
        ("empty", None, "no tenant has a folder"),
        (".", "nobody", "there are: acme, brand"),
        (".", "../acme", "there are: acme, brand"),
        ("acme", None, "the one around it"),
    ],
)
def test_folders_that_cannot_be_meant(
    data: Path, folder: str, tenant: str | None, said: str
) -> None:
    (data / "empty").mkdir()
    with pytest.raises(ConfigError, match=said):
        look(data / folder, tenant, NOW_MS)


def test_a_device_that_nobody_knows(data: Path) -> None:
    with pytest.raises(ConfigError, match="000000ff"):
        look(data, None, NOW_MS, Asked(device=255))


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    secrets: set[bytes] = set()
    with Rig(tmp_path / "acme") as rig:
        make_day(rig)
        inspections = [
            look(tmp_path, None, rig.clock.ms, Asked(device=device, log_rows=99, full=full))
            for device in (None, 1)
            for full in (False, True)
        ]
    for name in ("bridge", "devices"):
        database = sqlite3.connect(tmp_path / f"acme/{name}.sqlite")
        for (table,) in list(database.execute("SELECT name FROM sqlite_master WHERE type='table'")):
            for row in database.execute(f"SELECT * FROM {table}"):
                secrets.update(v for v in row if isinstance(v, bytes) and len(v) >= 16)
        database.close()
    assert len(secrets) > 20
    for inspection in inspections:
        details = len(inspection.tenants[0].devices) == 1
        shown = [
            text(inspection, details=details),
            json.dumps(as_json(inspection)),
            repr(inspection),
        ]
        for output in shown:
            assert not any(word in output for word in PERSONAL)
            for secret in secrets:
                forms = secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]
                assert not any(form in output for form in forms)
