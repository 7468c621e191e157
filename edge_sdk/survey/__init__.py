"""`edge-sdk survey`: walk the shop with a beacon, tap where you are, get the calibration file."""

from edge_sdk.survey.server import SurveyServer
from edge_sdk.survey.session import Session

__all__ = ["Session", "SurveyServer"]
