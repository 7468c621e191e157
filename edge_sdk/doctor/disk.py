"""Check `disk`: whether the home can be written, and has room for a long time without a network."""

import os
import shutil
import tempfile
from pathlib import Path

from edge_sdk.doctor.finding import FAIL, OK, WARN, Finding

# The outbox takes 256 MiB by default, and its log some more.
_ENOUGH_BYTES = 512 << 20
_LEAST_BYTES = 16 << 20


def check_disk(home: Path) -> list[Finding]:
    """The disk of a home, or of the directory in which it would be made."""
    folder = home
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        what = f"{folder} cannot be written ({error.strerror})"
        to_do = "run as the user whom the home belongs to; look whether the disk is full, mounted"
        return [Finding("disk", FAIL, what, to_do + " read-only, or failing (dmesg)")]
    what = f"{free >> 20:,} MiB are free at {folder}"
    to_do = "make room, or lower DeviceConfig.outbox_bytes: past it the least precious is shed"
    if free < _LEAST_BYTES:
        return [Finding("disk", FAIL, what, to_do)]
    return [
        Finding("disk", WARN, what, to_do) if free < _ENOUGH_BYTES else Finding("disk", OK, what)
    ]
