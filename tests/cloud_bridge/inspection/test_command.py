"""The real `cloud-bridge inspect` beside the real `cloud-bridge run`, in its life and after."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge.inspection import facts as inspected
from edge_sdk.wire.topics import LIVE
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.test_bridge_process import (
    BRIDGE,
    WAIT_S,
    command,
    connected,
    enrol,
    running,
    web,
)

DOCUMENT = Path(__file__).parents[3] / "docs/inspect.md"


def inspect(data: Path, *options: str) -> tuple[int, str, str]:
    """(exit code, what it printed, what it complained of)."""
    command = [*BRIDGE, "inspect", "--data", str(data), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def told(data: Path, *options: str) -> dict[str, Any]:
    code, printed, complained = inspect(data, "--json", *options)
    assert code == 0, complained
    facts: dict[str, Any] = json.loads(printed)
    return facts


def test_it_tells_what_a_running_bridge_has_taken(tmp_path: Path) -> None:
    gateway = enrol(tmp_path, "gateway", "--tenant", "acme")
    file = tmp_path / "running.json"
    add_key = ("key", "add", "--data", str(tmp_path), "--site", "shop")
    now_ms = int(time.time() * 1000)
    enter = make("visit.enter", now_ms, visit=1, visitor="ble:1", zone="coffee")

    async def run() -> None:
        async with running(tmp_path, "--broker", "embedded") as ready:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            async with (
                connected(gateway, ready["broker"]) as store,
                httpx.AsyncClient() as client,
            ):
                store.send(LIVE, gateway.start(now_ms=now_ms))
                assert await store.hears("ack") == [(0, 0, 0)]
                store.send(LIVE, gateway.rows(enter, enter))
                assert await store.hears("ack") == [(0, 1, 1)]
                key = (await asyncio.to_thread(command, *add_key)).strip()
                bearer = {"Authorization": f"Bearer {key}"}
                body = web("cookie:1")
                answer = await client.post(f"{ready['http']}/collect", json=body, headers=bearer)
                assert answer.status_code == 202
                facts = await asyncio.to_thread(told, tmp_path, "--check")
                plain = await asyncio.to_thread(inspect, tmp_path, "--log", "3")
        assert facts["bridge"] == {
            "state": "running",
            "pid": ready["pid"],
            "http": ready["http"],
            "since_ms": facts["bridge"]["since_ms"],
        }
        [tenant] = facts["tenants"]
        assert (tenant["verdict"], tenant["findings"], facts["findings"]) == ("ok", [], [])
        assert tenant["store"]["log"]["touchpoints"] == {"value": 5, "exact": True}
        assert tenant["store"]["collected"]["value"] == 1
        assert tenant["queue"]["people_in_memory"] > 0
        assert tenant["queue"]["stalled"] is False
        [device] = tenant["devices"]
        assert (device["batches"], device["touchpoints"], device["state"]) == (1, 2, "in use")
        assert plain[0] == 0
        assert "acme: ok" in plain[1]
        assert "in memory" in plain[1]
        assert all(word not in plain[1] for word in ("ble:", "loyalty", "cookie"))

    asyncio.run(run())
    assert not file.exists()
    assert told(tmp_path)["bridge"]["state"] == "none"
    code, printed, _ = inspect(tmp_path, "--check")
    assert code == 3
    assert printed.startswith("bridge: look at this: no bridge runs here")


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not asked there")
def test_a_bridge_that_was_killed_or_hangs_is_told(tmp_path: Path) -> None:
    enrol(tmp_path, "gateway", "--tenant", "acme")

    async def run() -> None:
        options = ("--broker", "embedded")
        async with running(tmp_path, *options, end=signal.SIGKILL) as ready:
            os.kill(ready["pid"], signal.SIGSTOP)
            facts = await asyncio.to_thread(told, tmp_path)
            assert facts["bridge"]["state"] == "silent"
            assert facts["tenants"][0]["queue"] is None
            assert facts["tenants"][0]["store"] is not None

    asyncio.run(run())
    assert (tmp_path / "running.json").exists()
    facts = told(tmp_path)
    assert facts["bridge"]["state"] == "stale"
    assert [finding["rule"] for finding in facts["findings"]] == ["bridge"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--tenant", "nobody"), 1, "there are: acme"),
        (("--device", "ff"), 1, "no device 000000ff"),
        (("--device", "gateway"), 2, "--device"),
        (("--log", "-1"), 2, "--log"),
        (("--jsno",), 2, "usage"),
    ],
)
def test_commands_that_cannot_be_meant(
    tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    enrol(tmp_path, "gateway", "--tenant", "acme")
    ended, _, complained = inspect(tmp_path, *options)
    assert ended == code
    assert said in complained


def test_an_empty_folder_and_a_damaged_file(tmp_path: Path) -> None:
    assert inspect(tmp_path)[0] == 1
    enrol(tmp_path, "gateway", "--tenant", "acme")
    (tmp_path / "acme/bridge.sqlite").write_bytes(b"no store" * 1000)
    code, printed, _ = inspect(tmp_path, "--check")
    assert code == 1
    assert "acme: CANNOT BE READ" in printed
    assert "gateway" in printed


def test_whoever_stops_reading_is_not_told_off(tmp_path: Path) -> None:
    enrol(tmp_path, "gateway", "--tenant", "acme")
    command = [*BRIDGE, "inspect", "--data", str(tmp_path)]
    here, there = os.pipe()
    os.close(here)
    done = subprocess.run(command, stdout=there, stderr=subprocess.PIPE, timeout=WAIT_S)
    os.close(there)
    assert (done.returncode, done.stderr) == (0, b"")


def test_all_keys_of_the_json_are_in_the_document() -> None:
    document = DOCUMENT.read_text()
    types = [t for t in vars(inspected).values() if isinstance(t, type) and is_dataclass(t)]
    names = {field.name for type_ in types for field in fields(type_)}
    assert len(names) > 80
    assert {name for name in names if f"`{name}`" not in document} == set()


def test_help_tells_the_exit_codes() -> None:
    done = subprocess.run([*BRIDGE, "inspect", "--help"], capture_output=True, text=True)
    assert "exit codes" in done.stdout
    assert "--json" in done.stdout
