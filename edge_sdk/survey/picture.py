"""The radio map of a survey as one SVG: where it is thin, and what each receiver hears where.

Between surveyed points a map shows the mean of those near, each as heavy as one over the square of
its distance (Shepard, 1968). It is a picture to judge a survey by; positions are computed
otherwise.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from edge_sdk.plan_parser import StorePlan
from edge_sdk.plan_picture import Sheet, extent
from edge_sdk.survey.covering import NEAR_M
from edge_sdk.survey_file import Surveyed

# From hardly heard to loud, in equal steps of lightness (after "viridis"): also in print, and for
# eyes that tell red from green badly.
_STEPS = (
    ("#440154", "under -95"), ("#472d7b", "-95"), ("#3b528b", "-90"), ("#2c728e", "-85"),
    ("#21918c", "-80"), ("#28ae80", "-75"), ("#5ec962", "-70"), ("#addc30", "-65"),
    ("#fde725", "-60 and over"),
)  # fmt: skip
_LOWEST_DBM, _STEP_DB = -95, 5
_HEARD_DBM = -85.0  # what is weaker comes and goes
_ENOUGH = 3  # receivers, for a position
_COVER = ("#b5382c", "#ef9b4a", "#f6dfae", "#8cc4a0", "#2f7f64")
_COVER_WORDS = ("1 or none", "2", "3", "4", "5 and more")
_CELLS = 40
_COLUMNS = 3
_UNKNOWN_M = 4.0  # farther from any surveyed point nothing is claimed

_NOT_HEARD_DBM = -100.0
_NEIGHBOURS = 8

Point = tuple[float, float]
_Near = list[tuple[Surveyed, float]]


class _Survey:
    """A floor and its surveyed places, with what each cell has to do with which of them."""

    def __init__(self, store: StorePlan, places: Iterable[Surveyed], floor: int) -> None:
        self.store = store
        self.floor = floor
        self.places = [place for place in places if place.floor == floor]
        self.receivers = [r.name for r in store.plan.receivers.values() if r.floor == floor]
        x0, y0, x1, y1 = extent(store.plan, floor)
        self.cell_m = max(0.1, max(x1 - x0, y1 - y0) / _CELLS)
        # Middle of each cell in a zone, by rows; whether the one to its left is one as well; how
        # far the nearest surveyed place is; and the near ones with their weights.
        self.cells: list[tuple[Point, bool, float, _Near]] = []
        for row in range(math.ceil((y1 - y0) / self.cell_m)):
            goes_on = False
            for column in range(math.ceil((x1 - x0) / self.cell_m)):
                at = (x0 + (column + 0.5) * self.cell_m, y0 + (row + 0.5) * self.cell_m)
                inside = store.plan.zone_at(*at, floor) is not None
                if inside:
                    self.cells.append((at, goes_on, *self._near(at)))
                goes_on = inside

    def _near(self, at: Point) -> tuple[float, _Near]:
        away = ((math.dist(at, (place.x_m, place.y_m)), place) for place in self.places)
        near = heapq.nsmallest(_NEIGHBOURS, away, key=lambda pair: pair[0])
        nearest_m = near[0][0] if near else math.inf
        return nearest_m, [(place, 1 / (away_m * away_m + 0.5)) for away_m, place in near]


def survey_svg(store: StorePlan, places: Iterable[Surveyed], floor: int = 0) -> str:
    """All maps of a floor on one sheet."""
    survey = _Survey(store, places, floor)
    maps = [("Where it is thin", _coverage(survey))]
    maps += [(name, _heat(survey, name)) for name in survey.receivers]
    width, height = maps[0][1].width_m, maps[0][1].height_m
    text = maps[0][1].text_m
    gap = 3.2 * text
    columns = min(_COLUMNS, len(maps))
    rows = math.ceil(len(maps) / columns)
    total = (columns * (width + gap) + gap, rows * (height + gap) + 4.5 * gap)
    parts = [_title(survey, gap, text)]
    for at, (name, sheet) in enumerate(maps):
        x = gap + at % columns * (width + gap)
        y = 2.8 * gap + at // columns * (height + gap)
        parts.append(
            f'<g transform="translate({x:.2f} {y:.2f})"><text x="0" y="{-0.5 * text:.2f}"'
            f' font-size="{1.4 * text:.2f}" font-weight="600">{escape(name)}</text>'
            + "".join(sheet.parts())
            + "</g>"
        )
    parts.append(_legend(gap, total[1] - 1.2 * gap, text, total[0]))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1200"'
        f' height="{round(1200 * total[1] / total[0])}"'
        f' viewBox="0 0 {total[0]:.2f} {total[1]:.2f}" font-family="sans-serif" fill="#1f2933">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def thin_places(
    store: StorePlan, places: Sequence[Surveyed], floor: int = 0
) -> tuple[float, float]:
    """Of a floor, the share (0 to 1) that is over 2 m from a surveyed point.

    And of what was surveyed (within 4 m), the share that under 3 receivers hear well.
    """
    survey = _Survey(store, places, floor)
    far = sum(1 for _, _, nearest_m, _ in survey.cells if nearest_m > NEAR_M)
    known = [near for _, _, nearest_m, near in survey.cells if nearest_m <= _UNKNOWN_M]
    deaf = sum(1 for near in known if _hearing(near, survey.receivers) < _ENOUGH)
    return far / max(1, len(survey.cells)), deaf / max(1, len(known))


def _title(survey: _Survey, gap: float, text: float) -> str:
    name = survey.store.plan.name or "store"
    readings = sum(heard.readings for place in survey.places for heard in place.heard.values())
    told = (
        f"{len(survey.places)} surveyed points, {readings:,} readings,"
        f" {len(survey.receivers)} receivers"
    )
    return (
        f'<text x="{gap:.2f}" y="{gap:.2f}" font-size="{2 * text:.2f}" font-weight="600">'
        f"Radio map of {escape(name)}</text>"
        f'<text x="{gap:.2f}" y="{1.55 * gap:.2f}" font-size="{1.2 * text:.2f}">{told}</text>'
    )


def _heat(survey: _Survey, name: str) -> Sheet:
    def colour(nearest_m: float, near: _Near) -> str | None:
        if nearest_m > _UNKNOWN_M:
            return None
        step = math.floor((_level(near, name) - _LOWEST_DBM) / _STEP_DB) + 1
        return _STEPS[max(0, min(len(_STEPS) - 1, step))][0]

    sheet = _painted(survey, colour)
    for place in survey.places:
        heard = place.heard.get(name)
        told = "not heard" if heard is None else f"{heard.mean_dbm:.0f} dBm"
        _dot(sheet, place, told, hollow=heard is None)
    at = survey.store.plan.receivers[name]
    size = sheet.text_m
    sheet.add(
        f'<circle cx="{sheet.x(at.x_m)}" cy="{sheet.y(at.y_m)}" r="{0.55 * size:.3f}"'
        f' fill="#fff" stroke="#000" stroke-width="{0.18 * size:.3f}"/>'
    )
    return sheet


def _coverage(survey: _Survey) -> Sheet:
    def colour(nearest_m: float, near: _Near) -> str | None:
        if nearest_m > _UNKNOWN_M:
            return None
        hearing = _hearing(near, survey.receivers)
        return _COVER[max(0, min(len(_COVER) - 1, hearing - 1))]

    sheet = _painted(survey, colour)
    for place in survey.places:
        _dot(sheet, place, f"{len(place.heard)} receivers")
    sheet.receivers(names=False)
    sheet.zone_names()
    return sheet


def _painted(survey: _Survey, colour: Callable[[float, _Near], str | None]) -> Sheet:
    """A floor whose cells have these colours; cells beside each other of one colour are one."""
    sheet = Sheet(survey.store, survey.floor)
    size = survey.cell_m
    half_y = size / 2 if survey.store.y_axis == "up" else -size / 2
    run: tuple[Point, int, str] | None = None

    def flush() -> None:
        if run is not None:
            (x_m, y_m), count, fill = run
            # A little too large: between neighbours no white line may show.
            sheet.add(
                f'<rect x="{sheet.x(x_m - size / 2)}" y="{sheet.y(y_m + half_y)}"'
                f' width="{(count + 0.08) * size:.3f}" height="{1.08 * size:.3f}" fill="{fill}"/>'
            )

    for place, goes_on, nearest_m, near in survey.cells:
        fill = colour(nearest_m, near)
        if run is not None and goes_on and fill == run[2]:
            run = (run[0], run[1] + 1, run[2])
            continue
        flush()
        run = None if fill is None else (place, 1, fill)
    flush()
    sheet.zones(tinted=False)
    return sheet


def _level(near: _Near, name: str) -> float:
    """What a receiver hears at a place, in dBm, by the surveyed places near it."""
    total = weights = 0.0
    for place, weight in near:
        heard = place.heard.get(name)
        weights += weight
        total += weight * (_NOT_HEARD_DBM if heard is None else heard.mean_dbm)
    return total / weights if weights else _NOT_HEARD_DBM


def _hearing(near: _Near, receivers: Iterable[str]) -> int:
    """How many receivers hear a beacon there well enough."""
    return sum(1 for name in receivers if _level(near, name) >= _HEARD_DBM)


def _dot(sheet: Sheet, place: Surveyed, told: str, *, hollow: bool = False) -> None:
    fill = "none" if hollow else "#fff"
    sheet.add(
        f'<circle cx="{sheet.x(place.x_m)}" cy="{sheet.y(place.y_m)}"'
        f' r="{0.22 * sheet.text_m:.3f}" fill="{fill}" stroke="#1f2933"'
        f' stroke-width="{0.1 * sheet.text_m:.3f}"><title>{escape(told)}</title></circle>'
    )


def _legend(x: float, y: float, text: float, width: float) -> str:
    levels = [*_STEPS]
    half = (width - 3 * x) / 2
    return _scale((x, y), half, text, "dBm", levels) + _scale(
        (2 * x + half, y),
        half,
        text,
        f"receivers that hear at {_HEARD_DBM:.0f} dBm or more (white: over 4 m from any point)",
        list(zip(_COVER, _COVER_WORDS, strict=True)),
    )


def _scale(
    at: Point, width: float, text: float, title: str, steps: Sequence[tuple[str, str]]
) -> str:
    x, y = at
    each = width / len(steps)
    size = min(text, each / 6)
    parts = [f'<text x="{x:.2f}" y="{y - 0.5 * text:.2f}" font-size="{text:.2f}">{title}</text>']
    for number, (fill, word) in enumerate(steps):
        left = x + number * each
        parts.append(
            f'<rect x="{left:.2f}" y="{y:.2f}" width="{each:.2f}" height="{text:.2f}"'
            f' fill="{fill}"/><text x="{left + each / 2:.2f}" y="{y + 2.2 * text:.2f}"'
            f' font-size="{size:.2f}" text-anchor="middle">{escape(word)}</text>'
        )
    return "".join(parts)
