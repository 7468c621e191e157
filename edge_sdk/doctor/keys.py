"""Check `keys`: whether the home is a device's, which one, and whether its key slots are sound."""

import os
import stat
from pathlib import Path

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.doctor.finding import FAIL, OK, WARN, Finding
from edge_sdk.errors import ConfigError, CorruptError, EdgeError
from edge_sdk.key_slots import FILE_NAME, KeySlots, Slot
from edge_sdk.wire.keys import MAX_EPOCH

_ENROL = "cloud-bridge enrol ... | edge-sdk enrol --home DIR"
_LAST_EPOCHS = 100_000


def check_keys(home: Path) -> tuple[list[Finding], Slot | None]:
    """What was found, and the slot that counts, if there is one."""
    try:
        slot = KeySlots(home, AesCcm()).load()
    except ConfigError:
        return [Finding("keys", FAIL, f"{home} is not the home of a device", _ENROL)], None
    except CorruptError:
        what = "both key slots are damaged: this device can send nothing any more"
        return [Finding("keys", FAIL, what, f"enrol it anew, in another directory: {_ENROL}")], None
    except EdgeError as error:
        return [Finding("keys", FAIL, str(error), "run as the user whom the home belongs to")], None
    who = f"device {slot.device:08x} of {slot.tenant}, site {slot.site}"
    found = [
        Finding("keys", OK, f"{who}, enrolment {slot.generation}, next epoch {slot.epoch}"),
    ]
    if MAX_EPOCH - slot.epoch < _LAST_EPOCHS:
        what = f"{MAX_EPOCH - slot.epoch} starts are left to this enrolment"
        found.append(Finding("keys", WARN, what, f"enrol it anew soon: {_ENROL}"))
    found += _rights(home / FILE_NAME)
    return found, slot


def _rights(path: Path) -> list[Finding]:
    if os.name != "posix":
        return []
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        what = f"{path} can be opened by others ({mode:o})"
        return [Finding("keys", WARN, what, f"chmod 600 {path}")]
    return []
