"""A survey by the radios of this machine, through the real bleak."""

from contextlib import AsyncExitStack
from pathlib import Path

from edge_sdk.plan_file import parse_plan
from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import EddystoneUid
from edge_sdk.survey.notebook import Notebook
from edge_sdk.survey.session import Session
from edge_sdk.survey_cli import readings_of, record
from edge_sdk.survey_file import read_places
from tests.edge_sdk.air import BEACON, BlueZ, always, in_a_loop
from tests.edge_sdk.survey.stores import PLAN

FRAME = to_advertisement(EddystoneUid(bytes(range(10)), bytes(6), -20))
NAME = "uid:00010203040506070809-000000000000"


@in_a_loop
async def test_the_plan_s_own_radios_are_heard(tmp_path: Path) -> None:
    text = PLAN
    for receiver, adapter in (("left", "hci0"), ("right", "hci1")):
        text = text.replace(f'"{receiver}",', f'"{receiver}", adapter = "{adapter}",')
    notebook = Notebook(tmp_path / "survey.csv")
    survey = Session(parse_plan(text), notebook, beacon=NAME, seconds=0.5)
    async with BlueZ(("hci0", "hci1")) as peer, AsyncExitStack() as parts:
        readings = await readings_of(None, survey.store, parts)
        await peer.until_scanned("hci0", "hci1")

        def shine() -> None:
            peer.advertise("hci0", BEACON, -61, FRAME)
            peer.advertise("hci1", BEACON, -83, FRAME)

        async with always(shine):
            assert await record(survey, readings, [(2.0, 2.0)])
    (place,) = read_places(notebook.path)
    levels = {name: round(heard.mean_dbm) for name, heard in place.heard.items()}
    assert levels == {"left": -61, "right": -83}
