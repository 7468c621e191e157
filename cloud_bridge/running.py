"""How others on this machine learn that a bridge runs: a file beside its data, and GET /health.

The file is there from the start of a bridge to its end; of one that was killed it stays, so it is
believed only as far as its process lives and its address answers.
"""

import contextlib
import http.client
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FILE_NAME = "running.json"
ANSWER_S = 2.0
_MOST_BYTES = 4 << 20
# Where a bridge that listens on all addresses is reached from this machine.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  it is read, not bound


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge that has started. `http` is its address, as in http://127.0.0.1:8080."""

    pid: int
    http: str
    since_ms: int


def announce(data: Path, running: Running) -> None:
    """Write the file, whole or not at all, for its owner's eyes. Raises OSError."""
    draft = data / f"{FILE_NAME}.{running.pid}"
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(asdict(running), file)
        draft.replace(data / FILE_NAME)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def withdraw(data: Path, pid: int) -> None:
    """Remove the file, unless it is another bridge's by now. Raises OSError."""
    running = announced(data)
    if running is not None and running.pid == pid:
        (data / FILE_NAME).unlink(missing_ok=True)


def announced(data: Path) -> Running | None:
    """What the file says; None: there is none that makes sense."""
    try:
        said = json.loads((data / FILE_NAME).read_bytes())
        running = Running(said["pid"], said["http"], said["since_ms"])
    except (OSError, ValueError, TypeError, LookupError):
        return None
    types = type(running.pid), type(running.http), type(running.since_ms)
    return running if types == (int, str, int) and running.pid > 0 else None


def is_alive(pid: int) -> bool:
    """Whether there is such a process; True where that cannot be known."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def ask(address: str) -> dict[str, Any] | None:
    """What GET /health answers within 2 s; None: nothing that a bridge would say."""
    until_s = time.monotonic() + ANSWER_S
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        url = urlsplit(address)
        host = url.hostname or ""
        connection = http.client.HTTPConnection(
            _ANYWHERE.get(host, host), url.port or 80, timeout=ANSWER_S
        )
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            body = b""
            while part := answer.read1(65_536):
                body += part
                if len(body) > _MOST_BYTES or time.monotonic() > until_s:
                    return None
        said = json.loads(body)
        if (
            answer.status == 200
            and isinstance(said, dict)
            and isinstance(said.get("tenants"), dict)
        ):
            return said
    return None


def lock_holder(lock: Path) -> int | None:
    """The process that has this file locked; None: nobody, or this system does not tell.

    It takes no lock, not even for a moment: a bridge that starts just then would be turned away.
    """
    try:
        status = lock.stat()
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            # 2: FLOCK  ADVISORY  WRITE 13093 fe:00:2278041 0 EOF
            _, kind, _, mode, pid, where, *_ = line.split()
            if (kind, mode, where) == ("FLOCK", "WRITE", place):
                return int(pid)
    except (OSError, ValueError, AttributeError):
        return None
    return None
