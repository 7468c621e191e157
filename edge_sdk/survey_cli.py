"""`edge-sdk survey`: by a page on a phone, or point by point from a shell."""

import argparse
import asyncio
import csv
import datetime
import json
import math
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan, read_plan
from edge_sdk.survey.covering import Covering
from edge_sdk.survey.lines import Lines
from edge_sdk.survey.notebook import Notebook
from edge_sdk.survey.picture import survey_svg, thin_places
from edge_sdk.survey.server import SurveyServer
from edge_sdk.survey.session import Reading, Session
from edge_sdk.survey_file import read_places, strangers

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = "walk the shop with a beacon, tap where you are, get the calibration file"
_EXAMPLES = """
examples:
  edge-sdk survey store.toml                                on this machine's own screen
  edge-sdk survey store.toml --listen 0.0.0.0:8100          on a phone in the same network
  edge-sdk survey store.toml --beacon uid:... --at 3.5,2    one point, without a page
  edge-sdk survey store.toml --draw map.svg                 draw what there is, record nothing

Points are written after each one, to `survey` of the plan or to survey.csv beside it; a survey that
was broken off goes on where it was. docs/survey.md tells how to walk.
"""
_STEP_S = 0.05


def add_commands(commands: "Commands") -> None:
    """Put `survey` among the commands of `edge-sdk`."""
    one = commands.add_parser(
        "survey",
        help=_WHAT,
        description=_WHAT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("plan", type=Path, metavar="store.toml", help="the plan of the store")
    one.add_argument("--out", type=Path, help="the calibration file")
    one.add_argument("--beacon", help="the one that is carried, as SCHEME:VALUE")
    one.add_argument("--seconds", type=float, default=20.0, help="for each point (20)")
    one.add_argument("--height", type=float, default=1.2, help="the beacon's, in metres (1.2)")
    one.add_argument("--floor", type=int, default=0, help="which one is walked (0)")
    one.add_argument("--name", help="what these points are called in the file (the date)")
    one.add_argument(
        "--listen",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="where the page is served; 0.0.0.0:8100 opens it to the network",
    )
    one.add_argument(
        "--at", type=_place, action="append", metavar="X,Y", help="record here (metres), no page"
    )
    one.add_argument("--points", type=Path, metavar="FILE", help="record at these, X,Y a line")
    one.add_argument(
        "--readings",
        type=Path,
        metavar="FILE",
        help="lines of JSON in place of a radio; - is stdin",
    )
    one.add_argument("--draw", type=Path, metavar="FILE.svg", help="draw the radio map")
    one.set_defaults(run=_survey)


def _place(text: str) -> tuple[float, float]:
    try:
        x_m, y_m = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("a place is X,Y in metres, as in 3.5,2") from None
    if not (math.isfinite(x_m) and math.isfinite(y_m)):
        raise argparse.ArgumentTypeError("a place is X,Y in metres, as in 3.5,2")
    return x_m, y_m


def _survey(arguments: argparse.Namespace) -> int:
    store = read_plan(arguments.plan)
    out = arguments.out or store.survey or arguments.plan.with_name("survey.csv")
    places = [*(arguments.at or []), *_listed(arguments.points)]
    if arguments.draw and not places and not arguments.readings:
        return _draw(arguments, store, out)
    session = Session(
        store,
        Notebook(out),
        beacon=arguments.beacon,
        seconds=arguments.seconds,
        name=arguments.name or datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        height_m=arguments.height,
        floor=arguments.floor,
    )
    host, port = _address(arguments.listen)
    if places and not arguments.beacon:
        raise ConfigError("without a page, say which beacon is carried: --beacon SCHEME:VALUE")
    try:
        kept = asyncio.run(_run(arguments, session, places, (host, port)))
    except KeyboardInterrupt:
        kept = True  # everything is on disk
    points = len(session.notebook.places)
    print(f"{out}: {points} point{'' if points == 1 else 's'}", file=sys.stderr)
    if arguments.draw and points:
        _draw(arguments, store, out)
    return 0 if kept else 1


async def _run(
    arguments: argparse.Namespace,
    session: Session,
    places: Sequence[tuple[float, float]],
    address: tuple[str, int],
) -> bool:
    async with AsyncExitStack() as parts:
        readings = await readings_of(arguments.readings, session.store, parts)
        if places:
            return await record(session, readings, places)
        host, port = address
        server = SurveyServer(
            session, readings, host=host, port=port, told=lambda url: _tell(url, host)
        )
        await parts.enter_async_context(server)
        await server.done()
    return True


async def readings_of(
    path: Path | None, store: StorePlan, parts: AsyncExitStack
) -> AsyncIterator[Reading]:
    """What the plan's radios hear; or lines, where a file is told."""
    if path is not None:
        return aiter(Lines(path))
    if not store.adapters:
        raise ConfigError(
            'no receiver of the plan is a radio of this machine: give one `adapter = "hci0"`'
            " (docs/store-plan.md), or pass readings in: --readings"
        )
    from edge_sdk.sources.bluetooth import Bluetooth  # noqa: PLC0415  an extra

    radio = Bluetooth({adapter: receiver for receiver, adapter in store.adapters.items()})
    return aiter(await parts.enter_async_context(radio))


async def record(
    session: Session, readings: AsyncIterator[Reading], places: Sequence[tuple[float, float]]
) -> bool:
    """Record point by point; whether each was kept."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    async def hear() -> None:
        async for reading in readings:
            session.hear(reading, loop.time())
        ended.set()

    hearing = asyncio.create_task(hear(), name="survey readings")
    kept = True
    try:
        for x_m, y_m in places:
            await _stand(x_m, y_m)
            session.begin(x_m, y_m, loop.time())
            place = None
            while session.recording is not None:
                await asyncio.sleep(_STEP_S)
                if hearing.done():
                    hearing.result()
                place = session.advance(loop.time(), over=ended.is_set())
            kept = kept and place is not None
            print(_told(session, x_m, y_m, kept=place is not None), flush=True)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    return kept


async def _stand(x_m: float, y_m: float) -> None:
    """Let whoever carries the beacon get there, if somebody is at the keyboard."""
    if sys.stdin.isatty():
        print(f"stand at {x_m:g}, {y_m:g} m and press Enter", file=sys.stderr)
        await asyncio.to_thread(sys.stdin.readline)


def _told(session: Session, x_m: float, y_m: float, *, kept: bool) -> str:
    view = session.view(0.0)
    told = {"x_m": x_m, "y_m": y_m, "kept": kept, "message": view["message"]}
    return json.dumps({**told, "points": len(view["points"]), "next": view["next"]})


def _tell(url: str, host: str) -> None:
    """Print an address that a phone can open."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  only compared
        url = url.replace("[::]" if ":" in host else host, _own_address(), 1)
    print(f"open {url}", flush=True)


def _own_address() -> str:
    """This machine's address in its network, as far as it can tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's; nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError("an address is HOST:PORT, as in 127.0.0.1:8100")
    return host.strip("[]"), int(port)


def _listed(path: Path | None) -> Iterator[tuple[float, float]]:
    """The places in a file: X,Y a line; a first line of words is passed over."""
    if path is None:
        return
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        try:
            yield _place(",".join(row[:2]))
        except argparse.ArgumentTypeError as error:
            if number > 1:
                raise ConfigError(f"{path}: line {number}: {error}") from None


def _draw(arguments: argparse.Namespace, store: StorePlan, out: Path) -> int:
    places = read_places(out)
    for name in strangers(places, store.plan):
        print(f"receiver {name!r} of the survey is not in the plan", file=sys.stderr)
    try:
        arguments.draw.write_text(survey_svg(store, places, arguments.floor), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{arguments.draw}: cannot be written ({error.strerror})") from None
    far, deaf = thin_places(store, places, arguments.floor)
    here = [(place.x_m, place.y_m) for place in places if place.floor == arguments.floor]
    best = Covering(store.plan, arguments.floor).next(here)
    print(f"drawn: {arguments.draw}")
    print(f"{round(100 * far)} % of the floor is over 2 m from a surveyed point")
    print(f"{round(100 * deaf)} % of what was surveyed is heard by under 3 receivers (at -85 dBm)")
    if best is not None:
        print(f"the next point helps most at {best[0]:.1f}, {best[1]:.1f} m")
    return 0
