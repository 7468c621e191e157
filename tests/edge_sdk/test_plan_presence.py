"""What store.toml says of presence and privacy: read, refused with its key, written."""

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import parse_plan, plan_text
from edge_sdk.plan_presence import SETTINGS, PresencePlan
from edge_sdk.presence.settings import PresenceSettings

STORE = """
receivers = [{ name = "door", x = 1, y = 1, adapter = "hci0" }]
zones = [{ name = "entrance", corners = [[0, 0], [9, 0], [9, 9], [0, 9]] }]
"""
TAG = "ibeacon:f7826da64fa24e988024bc5b71e0893e"


def said(text: str) -> tuple[str | None, PresencePlan]:
    store = parse_plan(text)
    return store.privacy, store.presence


def test_nothing_said_is_the_default() -> None:
    assert said(STORE) == (None, PresencePlan())


ALL = f"""
positions = true
{STORE}
[privacy]
mode = "consented"
ours = ["eid:", "{TAG}"]
count_others = true
least = 7
window_ms = 600000
[presence]
min_dwell_ms = 2000
dwell_marks_ms = [5000, 60000]
max_beacons = 100
"""


def test_all_is_read_and_reads_back_the_same() -> None:
    mode, presence = said(ALL)
    assert mode == "consented"
    assert presence == PresencePlan(
        positions=True,
        settings={"min_dwell_ms": 2000, "dwell_marks_ms": (5000, 60000), "max_beacons": 100},
        ours=("eid:", TAG),
        count_others=True,
        least=7,
        window_ms=600_000,
    )
    assert said(plan_text(parse_plan(ALL))) == (mode, presence)


@pytest.mark.parametrize("mode", ["aggregate", "pseudonymous-24h", "consented"])
def test_a_mode_alone_may_be_a_word_or_a_table(mode: str) -> None:
    word = said(f'privacy = "{mode}"\n{STORE}')
    assert word == said(f'{STORE}\n[privacy]\nmode = "{mode}"') == (mode, PresencePlan())
    assert said(plan_text(parse_plan(f'privacy = "{mode}"\n{STORE}'))) == word


def test_every_setting_of_the_engine_can_be_said() -> None:
    for name, default in SETTINGS.items():
        value = list(default) if isinstance(default, tuple) else default
        text = f"positions = true\n{STORE}\n[presence]\n{name} = {value}"
        presence = said(text)[1]
        assert presence.settings == {name: default}
        PresenceSettings(**presence.settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('privacy = "aggregat"', "", "privacy: is one of aggregate,"),
        ('privacy = "aggregat"', "", "did you mean 'aggregate'?"),
        ("privacy = 7", "", "privacy: is one of"),
        ("positions = 1", "", "positions: is true or false"),
        ("presence = 1", "", "presence: is a table"),
        ("", '[privacy]\nours = ["eid:"]', "privacy.mode: is one of"),
        ("", '[privacy]\nmode = "aggregate"\nours = ["eid:"]', "means nothing in mode aggregate"),
        ("", '[privacy]\nmode = "aggregate"\nleest = 5', "did you mean 'least'?"),
        ("", '[privacy]\nmode = "aggregate"\nleast = 1', "privacy.least: is a whole number, 2 to"),
        ("", '[privacy]\nmode = "aggregate"\nleast = 5.5', "privacy.least: is a whole number"),
        ("", '[privacy]\nmode = "aggregate"\nwindow_ms = 5', "60000 to 1800000"),
        ("", '[privacy]\nmode = "pseudonymous-24h"\nleast = 5', "there are mode"),
        ("", '[privacy]\nmode = "consented"\nours = []', "privacy.ours: is a list of namespaces"),
        ("", '[privacy]\nmode = "consented"\nours = ["ble:"]', "privacy.ours[1]: a namespace is"),
        ("", '[privacy]\nmode = "consented"\nours = [5]', "privacy.ours[1]: is a text"),
        ("", '[privacy]\nmode = "consented"\nleast = 5', "say count_others = true as well"),
        ("", '[privacy]\nmode = "consented"\ncount_others = 1', "count_others: is true or false"),
        (
            "",
            "[presence]\nmin_dwel_ms = 1",
            "presence.min_dwel_ms: is no key that we know; did you",
        ),
        ("", "[presence]\nmin_dwell_ms = -1", "presence.min_dwell_ms: is a whole number, as"),
        ("", "[presence]\nmin_dwell_ms = true", "presence.min_dwell_ms: is a whole number"),
        ("", "[presence]\nmax_beacons = 0", "presence: max_beacons"),
        ("", "[presence]\ndwell_marks_ms = [5, 5]", "dwell_marks_ms: rises from number to number"),
        ("", "[presence]\ndwell_marks_ms = 5", "dwell_marks_ms: is a list of whole numbers"),
        ("", "[presence]\nposition_every_ms = 500", "say positions = true as well"),
    ],
)
def test_a_fault_names_its_key_and_what_would_do(before: str, after: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_plan(f"{before}\n{STORE}\n{after}")
    assert says in str(raised.value)
    assert str(raised.value).startswith("store.toml: ")


def test_all_faults_are_told_at_once() -> None:
    text = f'{STORE}\n[privacy]\nmode = "aggregate"\nleast = 0\nwindow_ms = 0\n[presence]\nx = 1'
    with pytest.raises(ConfigError) as raised:
        parse_plan(text)
    assert len(str(raised.value).splitlines()) == 3
