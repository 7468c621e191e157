"""The radio map of a surveyed store: Gaussian-process regression over the points, with numpy.

CPython alone. For each receiver, mean strength = a + b log10(distance) + what walls and shelves do.
a and b have a prior (ITU-R P.1238), first fitted to all receivers together and then to each; the
rest is a Gaussian process whose covariance falls off exponentially with the distance between two
places, plus what changes within a wavelength and can be known nowhere. See Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2.2 and 2.7, and Ferris et al., "Gaussian Processes for
Signal Strength-Based Location Estimation", RSS 2006. With no points at all it is the prior.

A receiver that did not hear a point says that it is too far: it counts as a weak, vague reading.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_sdk.presence.floor import FloorPlan, SurveyPoint

    Array = NDArray[np.float64]

# Of the field of strength, found by leaving survey points out, one at a time, in published data.
_FIELD_VAR_DB2 = 10.0
_FIELD_LENGTH_M = 2.5
_POINT_VAR_DB2 = 7.0

# a in dBm at 1 m, b in dB a decade: before the first point, and of one receiver beside all others.
_PRIOR = np.array([-59.0, -25.0])
_PRIOR_SD = np.array([7.0, 4.0])
_RECEIVER_SD = np.array([4.0, 5.0])

_UNHEARD_DBM = -97.0
_UNHEARD_VAR_DB2 = 36.0
_LEAST_M = 0.5


class SurveyMap:
    """A radio map (`radio_map.RadioMap`), made of the points of a survey.

    plan        whose receivers these are
    points      may be few, or none
    beacon_z_m  how high the beacon was held, and is carried
    """

    def __init__(
        self, plan: "FloorPlan", points: "Sequence[SurveyPoint]", beacon_z_m: float = 1.5
    ) -> None:
        self.receivers = tuple(sorted(plan.receivers))
        self._at = [plan.receivers[name] for name in self.receivers]
        self._z_m = beacon_z_m
        self._points = [[p for p in points if p.floor == at.floor] for at in self._at]
        together, together_var = self._together()
        self.strength_sd_db = float(np.sqrt(together_var))
        self._fits = [self._fit(number, together) for number in range(len(self.receivers))]

    def expect(self, receiver: str, x_m: float, y_m: float) -> "tuple[float, float]":
        """Mean in dBm and standard deviation in dB. Raises KeyError for an unknown receiver."""
        if receiver not in self.receivers:
            raise KeyError(receiver)
        mean, var = self.field(self.receivers.index(receiver), np.array([[x_m, y_m]]))
        return float(mean[0]), float(np.sqrt(var[0] + _POINT_VAR_DB2))

    def field(self, number: int, places: "Array") -> "tuple[Array, Array]":
        """Of receiver `number`, at places (n, 2) in metres: means in dBm, and their variances."""
        prior, places_known, inverse, weights = self._fits[number]
        basis = self._basis(number, places)
        cross = _field(places, places_known) + self._line(basis, places_known, number)
        own = _FIELD_VAR_DB2 + ((basis * _RECEIVER_SD) ** 2).sum(axis=1)
        mean = basis @ prior + cross @ weights
        var = own - ((cross @ inverse) * cross).sum(axis=1)
        return mean, np.maximum(var, 0.0)

    def _basis(self, number: int, places: "Array") -> "Array":
        at = self._at[number]
        offset = places - np.array([at.x_m, at.y_m])
        distance = np.sqrt((offset**2).sum(axis=1) + (self._z_m - at.z_m) ** 2)
        return np.stack([np.ones(len(places)), np.log10(np.maximum(_LEAST_M, distance))], axis=1)

    def _line(self, basis: "Array", places_known: "Array", number: int) -> "Array":
        known: Array = self._basis(number, places_known) * _RECEIVER_SD**2
        return basis @ known.T

    def _heard(self, number: int) -> "tuple[Array, Array, Array]":
        """Places, what was heard there in dBm, and how vague that is in dB2."""
        name = self.receivers[number]
        points = self._points[number]
        places = np.array([[p.x_m, p.y_m] for p in points]).reshape(-1, 2)
        mean = np.full(len(points), _UNHEARD_DBM)
        var = np.full(len(points), _UNHEARD_VAR_DB2)
        for row, point in enumerate(points):
            heard = point.heard.get(name)
            if heard is not None:
                mean[row] = heard[0]
                var[row] = _POINT_VAR_DB2 + heard[1] ** 2 / max(1, heard[2])
        return places, mean, var

    def _together(self) -> "tuple[Array, float]":
        """A and b of all receivers together, and how vague a still is."""
        precision = np.diag(1.0 / _PRIOR_SD**2)
        moment = precision @ _PRIOR
        for number in range(len(self.receivers)):
            places, mean, var = self._heard(number)
            basis = self._basis(number, places)
            # What a receiver's points have in common counts once.
            spread = basis @ np.diag(_RECEIVER_SD**2) @ basis.T + _field(places, places)
            weights = _inverse(spread + np.diag(var))
            precision = precision + basis.T @ weights @ basis
            moment = moment + basis.T @ weights @ mean
        covariance = _inverse(precision)
        return covariance @ moment, float(covariance[0, 0])

    def _fit(self, number: int, prior: "Array") -> "tuple[Array, Array, Array, Array]":
        places, mean, var = self._heard(number)
        basis = self._basis(number, places)
        total = _field(places, places) + self._line(basis, places, number) + np.diag(var)
        inverse = _inverse(total)
        return prior, places, inverse, inverse @ (mean - basis @ prior)


def _field(a: "Array", b: "Array") -> "Array":
    gaps = np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))
    covariance: Array = _FIELD_VAR_DB2 * np.exp(-gaps / _FIELD_LENGTH_M)
    return covariance


def _inverse(matrix: "Array") -> "Array":
    inverse: Array = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return inverse
