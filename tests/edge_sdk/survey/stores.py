"""A small store and its radio, for the tests of the survey."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from edge_sdk.plan_file import StorePlan, parse_plan
from edge_sdk.survey.notebook import Notebook
from edge_sdk.survey.session import Session

BEACON = "uid:00112233445566778899-0000000000aa"
PLAN = """
name = "shop"
receivers = [{ name = "left", x = 1, y = 2 }, { name = "right", x = 11, y = 2 }]
zones = [
  { name = "a", corners = [[0, 0], [6, 0], [6, 4], [0, 4]] },
  { name = "b", corners = [[6, 0], [12, 0], [12, 4], [6, 4]] },
]
"""


class Reading(NamedTuple):
    receiver: str
    beacon: str
    rssi_dbm: int


def store() -> StorePlan:
    return parse_plan(PLAN)


def session(folder: Path, beacon: str | None = BEACON, seconds: float = 10.0) -> Session:
    notebook = Notebook(folder / "survey.csv")
    return Session(store(), notebook, beacon=beacon, seconds=seconds, name="first")


async def radio(beacon: str = BEACON) -> AsyncIterator[Reading]:
    """Both receivers hear the beacon, for ever."""
    for number in count():
        yield Reading("left", beacon, -60 - number % 3)
        yield Reading("right", beacon, -80)
        await asyncio.sleep(0.005)
