"""A shopper's app: nothing without a yes, nothing after a no, and every sleep survived."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest

from cloud_bridge.factory import Bridge, Config
from edge_sdk import touchpoints
from edge_sdk.device import DeviceConfig, enrol
from edge_sdk.errors import ConfigError, RadioError, StorageError
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.sources.reading import Reading
from edge_sdk.store_app import GEOLOCATION, AppClock, AppConfig, StoreApp
from edge_sdk.wire.touchpoint import Touchpoint
from tests.edge_sdk.homes import enrolled
from tests.edge_sdk.read_outbox import captured

PURPOSE = "in_store_prompts"
SHELF = "ibeacon:f7826da64fa24e988024bc5b71e0893e-1-7"
WHO = "app:5f0c1a"
NOWHERE = "mqtt://127.0.0.1:1"
START_S = 1_800_000_000.0
WAIT_S = 60.0


class Hand(AppClock):
    """A phone's two clocks, in the test's hand; a second of the app passes when it is let."""

    def __init__(self) -> None:
        self.wall_s, self.steady_s = START_S, 1_000.0
        self._due = asyncio.Semaphore(0)
        self._waits = asyncio.Event()
        super().__init__(lambda: self.wall_s, lambda: self.steady_s)

    async def sleep(self, seconds: float) -> None:
        self._waits.set()
        await self._due.acquire()
        self._waits.clear()

    async def run(self, seconds: int = 1) -> None:
        """Seconds in which the app is awake."""
        for _ in range(seconds):
            self.wall_s += 1
            self.steady_s += 1
            await self._waits.wait()
            self._waits.clear()
            self._due.release()
            await self._waits.wait()

    def doze(self, seconds: float) -> None:
        """The phone sleeps, and its monotonic clock with it."""
        self.wall_s += seconds


class Radio:
    """The phone's radio: hears what the test says, while somebody listens."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.begun = self.ended = 0
        self.clock: AppClock | None = None
        self._said: asyncio.Queue[Reading | Exception] = asyncio.Queue()

    def __call__(self, clock: AppClock) -> Self:
        self.clock = clock
        return self

    async def __aenter__(self) -> None:
        self.begun += 1

    async def __aexit__(self, *exc_info: object) -> None:
        self.ended += 1

    async def __aiter__(self) -> AsyncIterator[object]:
        while True:
            said = await self._said.get()
            if isinstance(said, Exception):
                raise said
            yield said

    async def say(self, beacon: str = SHELF, rssi_dbm: int = -60, late_ms: int = 0) -> None:
        assert self.clock is not None
        at_ms = self.clock.now_ms() - late_ms
        self._said.put_nowait(Reading(at_ms, "phone", beacon, rssi_dbm))
        await self.settled()

    async def fail(self, error: Exception) -> None:
        self._said.put_nowait(error)
        await self.settled()

    async def settled(self) -> None:
        while not self._said.empty():  # noqa: ASYNC110  what is waited for is another task's turn
            await asyncio.sleep(0)
        await asyncio.sleep(0)


def config(home: Path, broker: str = NOWHERE) -> AppConfig:
    return AppConfig(DeviceConfig(home, broker), WHO, {SHELF: "shelf"})


Scenario = Callable[[StoreApp, Radio, Hand], Awaitable[object]]


def live(home: Path, scenario: Scenario, **more: Any) -> list[Touchpoint]:
    """Let an app live through a scenario; what is then in its outbox."""

    async def life() -> None:
        clock, radio = Hand(), Radio()
        async with StoreApp(config(home), radio, clock=clock, **more) as app:
            await scenario(app, radio, clock)
        assert radio.begun == radio.ended, "every scan that began has ended"

    asyncio.run(life())
    return captured(home)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return enrolled(tmp_path / "home")


def names(listed: list[Touchpoint]) -> list[str]:
    return [touchpoint.name for touchpoint in listed]


async def hear(radio: Radio, clock: Hand, seconds: int = 6) -> None:
    for _ in range(seconds):
        await radio.say()
        await clock.run()


# Nothing without a yes, nothing after a no


def test_before_a_yes_there_is_nothing(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await clock.run(3)
        assert not await app.capture(touchpoints.page_view(session=WHO, page="/"))
        assert not await app.log_in("loyalty:17")
        assert not await app.locate(51.5, -0.1)
        assert app.counts["not_allowed"] == 3
        assert app.status() is None, "it does not even connect"
        assert radio.begun == 0

    before = sorted(path.name for path in home.iterdir())
    assert live(home, scenario) == []
    assert sorted(path.name for path in home.iterdir()) == before, "no outbox, no file at all"


def test_after_a_yes_it_hears_the_store(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock)
        await radio.say("ble:c0ffee120001")
        assert await app.log_in("loyalty:17")
        assert app.counts["foreign"] == 1
        assert app.counts["sightings"] == 1

    consent, sighting, identify = live(home, scenario)
    assert consent.values == (WHO, PURPOSE, 1, "app")
    assert sighting.values == ("shelf", WHO, 5_000, 5, -60, 0)
    assert sighting.at_ms == (START_S + 5) * 1000
    assert identify.values == (WHO, "loyalty:17", "app")


def test_after_a_no_nothing_is_captured_and_what_waited_is_forgotten(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 4)
        saying_no = asyncio.ensure_future(app.withdraw())
        await asyncio.sleep(0)
        assert not app.allows(), "at once, before anything is on disk"
        assert not await app.capture(touchpoints.page_view(session=WHO, page="/"))
        await saying_no
        await clock.run(10)
        assert radio.ended == 1
        assert not await app.log_in("loyalty:17")

    yes, no = live(home, scenario)
    assert (yes.get("granted"), no.get("granted")) == (1, 0)


def test_a_no_outlives_a_kill_until_the_bridge_has_it(home: Path) -> None:
    async def no(app: StoreApp, _radio: Radio, _clock: Hand) -> None:
        await app.allow()
        await app.withdraw()

    async def nothing(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await clock.run(2)
        assert app.status() is not None, "there is something to tell"
        assert radio.begun == 0

    live(home, no)
    said = live(home, nothing)
    assert [t.get("granted") for t in said] == [1, 0, 0], "told again, as nobody has heard it yet"


def test_a_yes_outlives_a_kill(home: Path) -> None:
    async def yes(app: StoreApp, _radio: Radio, _clock: Hand) -> None:
        await app.allow()

    async def later(app: StoreApp, radio: Radio, clock: Hand) -> None:
        assert app.allows()
        await hear(radio, clock)

    live(home, yes)
    assert names(live(home, later)) == ["consent", "sighting"], "asked once, told once"


def test_geolocation_is_off_until_it_is_allowed_besides(home: Path) -> None:
    async def scenario(app: StoreApp, _radio: Radio, _clock: Hand) -> None:
        await app.allow()
        assert not await app.locate(51.5, -0.1)
        await app.allow(GEOLOCATION)
        assert await app.locate(51.5007325, -0.1246256, 12.34)
        assert await app.locate(-90, 180)
        await app.withdraw(GEOLOCATION)
        assert not await app.locate(51.5, -0.1)
        await app.allow(GEOLOCATION)
        await app.withdraw()
        assert not await app.locate(51.5, -0.1), "nothing without the app's own purpose"
        for wrong in ((91, 0), (0, 181), (float("nan"), 0), (0, float("inf"))):
            with pytest.raises(ValueError, match="degrees"):
                await app.locate(*wrong)
        with pytest.raises(ValueError, match="accuracy"):
            await app.locate(1, 2, -3)

    places = [t.values for t in live(home, scenario) if t.name == "geolocation"]
    assert places == [
        (WHO, 515_007_325, -1_246_256, 1_234),
        (WHO, -900_000_000, 1_800_000_000, None),
    ]


# Sleep


def test_suspended_it_hears_nothing_and_resumed_it_goes_on(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 3)
        await app.pause()
        assert (radio.begun, radio.ended) == (1, 1)
        assert app.status() is None
        assert not await app.log_in("loyalty:17")
        clock.doze(7 * 86_400)
        await app.resume()
        await app.resume()
        await hear(radio, clock)
        assert app.counts["sessions"] == 2

    _, sighting = live(home, scenario)
    assert sighting.get("readings") == 5, "what was heard a week ago is not in it"
    assert sighting.at_ms == (START_S + 3 + 7 * 86_400 + 5) * 1000


def test_consent_is_kept_for_the_morning_when_it_is_said_while_paused(home: Path) -> None:
    async def scenario(app: StoreApp, _radio: Radio, _clock: Hand) -> None:
        await app.pause()
        await app.allow()
        assert app.status() is None
        await app.resume()
        assert app.status() is not None

    assert names(live(home, scenario)) == ["consent"]


@pytest.mark.parametrize("doze_s", [3_600.0, -86_400.0])
def test_frozen_without_a_word_it_begins_anew(home: Path, doze_s: float) -> None:
    """Or somebody set the clock."""

    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 3)
        clock.doze(doze_s)
        await hear(radio, clock, 7)
        assert app.counts["jumps"] == 1
        assert app.counts["sessions"] == 2

    _, sighting = live(home, scenario)
    assert sighting.get("readings") == 5
    assert sighting.at_ms == (START_S + 3 + doze_s + 1 + 5) * 1000


def test_frozen_with_a_clock_that_went_on_nothing_stale_is_told(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 3)
        clock.wall_s += 3_600
        clock.steady_s += 3_600
        await clock.run()
        await radio.say(late_ms=3_600_000)  # it was queued when the app froze
        await clock.run(6)
        assert app.counts["stale"] == 4
        assert app.counts["jumps"] == 0

    assert names(live(home, scenario)) == ["consent"]


# An engine of its own


def test_it_can_find_itself_where_the_bridge_does_not(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 10)
        await app.withdraw()

    found = live(home, scenario, fresh_engine=lambda: NearestReceiver({"shelf": "coffee"}))
    assert names(found).count("sighting") == 2, "the engine's own are left out"
    (enter,) = [t for t in found if t.name == "visit.enter"]
    assert (enter.get("visitor"), enter.get("zone")) == (WHO, "coffee")


def test_a_visit_that_is_open_ends_when_the_app_sleeps(home: Path) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 10)
        await app.pause()
        clock.doze(3600)
        await app.resume()

    found = live(home, scenario, fresh_engine=lambda: NearestReceiver({"shelf": "coffee"}))
    (leave,) = [t for t in found if t.name == "visit.exit"]
    assert leave.get("probability_pct") == 30
    assert leave.at_ms is not None
    assert leave.at_ms < (START_S + 60) * 1000, "told when it slept, not when it woke"


# What can go wrong


@pytest.mark.parametrize("error", [ZeroDivisionError("a driver"), None])
def test_a_radio_that_breaks_or_ends_is_told(
    error: Exception | None, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Ends(Radio):
        async def __aiter__(self) -> AsyncIterator[object]:
            if error is not None:
                raise error
            return
            yield

    async def life() -> None:
        async with StoreApp(config(home), Ends(), clock=Hand()) as app:
            await app.allow()
            await until(lambda: app.counts["failed"] == 1)
            assert await app.log_in("loyalty:17"), "the rest goes on"

    asyncio.run(life())
    assert "the radio failed; it is tried again when the app resumes" in caplog.text


def test_a_bug_in_the_engine_does_not_end_the_app(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(NearestReceiver):
        def tick(self, at_ms: int) -> list[Touchpoint]:
            raise ZeroDivisionError

    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await hear(radio, clock, 2)
        assert app.counts["failed"] >= 1
        await clock.run(20)
        assert app.counts["failed"] >= 2, "it is still trying"

    live(home, scenario, fresh_engine=lambda: Broken({"shelf": "coffee"}))
    assert "ZeroDivisionError" in caplog.text


def test_a_radio_that_fails_is_told_and_tried_when_the_app_resumes(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await radio.fail(RadioError("off", "it is switched off"))
        assert app.counts["failed"] == 1
        assert await app.log_in("loyalty:17"), "the rest goes on"
        await app.pause()
        await app.resume()
        await hear(radio, clock)

    assert names(live(home, scenario)) == ["consent", "identify", "sighting"]
    assert "switched off" in caplog.text


def test_a_radio_whose_extra_is_missing_says_so(home: Path) -> None:
    def missing(_clock: AppClock) -> Radio:
        raise ConfigError("Bluetooth needs an extra: pip install 'edge-sdk[bluetooth]'")

    async def scenario() -> None:
        async with StoreApp(config(home), missing) as app:
            with pytest.raises(ConfigError, match="bluetooth"):
                await app.allow()

    asyncio.run(scenario())


def test_it_goes_on_when_the_outbox_can_be_opened_again(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        keys = home / "device.keys"
        hidden = keys.rename(home / "hidden")
        with pytest.raises(ConfigError):
            await app.allow()
        await clock.run()
        assert app.counts["failed"] == 1
        hidden.rename(keys)
        await clock.run(20)
        assert app.status() is not None
        await hear(radio, clock)

    assert names(live(home, scenario)) == ["consent", "sighting"]
    assert "goes on without" in caplog.text


def test_an_installation_that_is_not_enrolled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with StoreApp(config(tmp_path / "nowhere")):
            pass

    with pytest.raises(ConfigError, match="enrol"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong",
    [
        {"who": "loyalty:17"},
        {"who": "app:"},
        {"who": ""},
        {"purpose": ""},
        {"purpose": GEOLOCATION},
        {"window_ms": 10},
        {"window_ms": 10**6},
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        AppConfig(**{"device": DeviceConfig(tmp_path, NOWHERE), "who": WHO, "beacons": {}, **wrong})


def test_no_log_line_and_no_repr_names_anybody(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario(app: StoreApp, radio: Radio, clock: Hand) -> None:
        await app.allow()
        await app.log_in("loyalty:17")
        await app.allow(GEOLOCATION)
        await app.locate(51.5007325, -0.1246256)
        await hear(radio, clock)
        clock.doze(3_600)
        await clock.run(2)
        said = repr(app) + repr(config(home))
        assert not any(word in said + caplog.text for word in (WHO, "loyalty:17", "515007"))

    live(home, scenario)


# With a bridge


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for is another program's turn
            await asyncio.sleep(0.02)


def test_with_a_bridge_prompts_arrive_and_a_no_is_delivered_before_it_hangs_up(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[rule]]\noffer = "taste"\ncategory = "coffee"\nwithin_days = 1\nzone = "coffee"\n'
        f'purpose = "{PURPOSE}"\nsurface = "app"\ntitle = "t"\nbody = "b"\nttl_s = 60\n'
        "cooldown_s = 0\n"
    )

    async def scenario() -> None:
        bridge = Bridge(Config(tmp_path / "bridge", tenant="acme", http_port=0, rules=rules))
        async with bridge:
            enrol(bridge.enrol("paris-1", "app-1", surface="app", zone="coffee"), tmp_path / "app")
            clock = AppClock()
            app = StoreApp(config(tmp_path / "app", bridge.broker_url), clock=clock)
            async with app:
                await app.allow()
                await app.log_in("loyalty:17")
                view = touchpoints.page_view(session=WHO, page="/1", category="coffee")
                prompts = app.prompts()
                for visit in (1, 2):
                    await app.capture(view)
                    await app.drained()
                    enter = touchpoints.visit_enter(visit=visit, visitor=WHO, zone="coffee")
                    await app.capture(enter)
                    async with asyncio.timeout(WAIT_S):
                        prompt = await anext(prompts)
                    assert prompt.offer == "taste"
                    await prompt.shown()
                    await app.pause()
                    await app.resume()  # the second one comes by another session
                await app.withdraw()
                await until(lambda: app.status() is None)
            async with asyncio.timeout(WAIT_S):
                assert [p async for p in prompts] == []

    asyncio.run(scenario())
    assert captured(tmp_path / "app") == []

    async def later() -> None:
        async with StoreApp(config(tmp_path / "app")) as app:
            assert app.status() is None, "told, and nothing more to say"

    asyncio.run(later())


def test_a_disk_that_is_full_is_told_to_the_caller(home: Path) -> None:
    async def scenario(app: StoreApp, _radio: Radio, _clock: Hand) -> None:
        (home / "consent.new").mkdir()
        with pytest.raises(StorageError):
            await app.allow()

    assert live(home, scenario) == []
