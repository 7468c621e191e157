"""Homes of devices for tests: enrolled on the spot, with the secret known to the test."""

from pathlib import Path

from edge_sdk.device import enrol
from edge_sdk.wire.enrolment import Enrolment, to_token

SECRET = bytes(range(32))
DEVICE = 42


def enrolled(home: Path, device: int = DEVICE, generation: int = 0) -> Path:
    """`home`, made the home of a device of tenant acme, site paris-1."""
    enrol(to_token(Enrolment("acme", "paris-1", device, generation, SECRET)), home)
    return home
