"""The peer that is measured beside: a plain hidden Markov model on a 0.5 m grid, with numpy.

It has the same radio map and the same robust likelihood; it walks at random, up to 1.5 m/s, and
takes every reading's error to be new.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_sdk.presence.floor import FloorPlan
    from edge_sdk.presence.survey_map import SurveyMap
    from edge_sdk.presence.walkers import Array

_CELL_M = 0.5
_SPEED_M_S = 0.6  # standard deviation on each axis
_READING_VAR_DB2 = 27.0
_FREEDOM = 6.0


class PlainGrid:
    """One beacon's place; `step`, then `place`."""

    def __init__(self, plan: "FloorPlan", radio: "SurveyMap", step_ms: int) -> None:
        corners = [corner for zone in plan.zones for corner in zone.corners]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        xs = np.arange(low[0] + _CELL_M / 2, high[0], _CELL_M)
        ys = np.arange(low[1] + _CELL_M / 2, high[1], _CELL_M)
        self._x_m, self._y_m = np.meshgrid(xs, ys, indexing="ij")
        places = np.stack([self._x_m.ravel(), self._y_m.ravel()], axis=1)
        self._number = {name: number for number, name in enumerate(radio.receivers)}
        fields = [radio.field(number, places) for number in range(len(radio.receivers))]
        self._mean_dbm = np.stack([mean.reshape(self._x_m.shape) for mean, _ in fields])
        self._var_db2 = np.stack([var.reshape(self._x_m.shape) for _, var in fields])
        sd_cells = _SPEED_M_S * step_ms / 1000 / _CELL_M
        reach = math.ceil(1.5 * step_ms / 1000 / _CELL_M)
        steps = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (steps / sd_cells) ** 2)
        self._kernel = kernel / kernel.sum()
        self._weights = np.full(self._x_m.shape, 1.0 / self._x_m.size)

    def step(self, heard: "list[tuple[str, float, int]]") -> None:
        """Take in (receiver, median in dBm, readings) of one step."""
        for axis in (0, 1):
            self._weights = self._spread(self._weights, axis)
        cost = np.zeros(self._weights.shape)
        for name, median_dbm, readings in heard:
            number = self._number[name]
            var_db2 = _READING_VAR_DB2 / min(4, readings) + self._var_db2[number]
            squared = (median_dbm - self._mean_dbm[number]) ** 2 / var_db2
            cost += 0.5 * (_FREEDOM + 1) * np.log1p(squared / _FREEDOM) + 0.5 * np.log(var_db2)
        weights = self._weights * np.exp(cost.min() - cost)
        self._weights = weights / weights.sum()

    def place(self) -> tuple[float, float]:
        """The mean, in metres."""
        return float((self._weights * self._x_m).sum()), float((self._weights * self._y_m).sum())

    def _spread(self, weights: "Array", axis: int) -> "Array":
        reach = len(self._kernel) // 2
        padded = np.pad(weights, [(reach, reach) if at == axis else (0, 0) for at in (0, 1)])
        spread = np.zeros_like(weights)
        for at, share in enumerate(self._kernel):
            spread += share * np.take(padded, range(at, at + weights.shape[axis]), axis=axis)
        moved: Array = spread / spread.sum()
        return moved
