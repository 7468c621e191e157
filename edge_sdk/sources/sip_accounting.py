"""A SIP proxy's own account of calls, followed: what the broker lost is read here.

The proxy appends a line to `calls_*.log` for each answered or failed call and each end. A file may
grow, be replaced or be cut; a half line is left for the next look.
"""

import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

PATTERN = "calls_*.log"
_MOST_BYTES = 1 << 20  # in one look at one file
_HEAD_BYTES = 256  # by which a file is known again


class Accounting:
    """`load`, then `lines` since the last look, and `save` once what they told is kept.

    folder  where the proxy writes, ACCOUNTING in kamailio.cfg
    home    where it is kept how far the files were read; without that they are read again, and
            what they tell is told again, which does no harm
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._state = home / "accounting.json"
        self._read: dict[str, tuple[int, int]] = {}  # file -> CRC of its head, bytes
        self._saved: dict[str, tuple[int, int]] = {}

    def load(self) -> None:
        """Go on where `save` was."""
        try:
            for name, (begins, at) in json.loads(self._state.read_text("utf-8")).items():
                self._read[name] = int(begins), int(at)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s: not read (%s); all is read again", self._state, type(error).__name__)
            self._read = {}
        self._saved = dict(self._read)

    def save(self) -> None:
        """Keep how far it was read. Raises OSError."""
        read = dict(self._read)
        if read != self._saved:
            fresh = self._state.with_suffix(".new")
            fresh.write_text(json.dumps(read), "utf-8")
            fresh.replace(self._state)
            self._saved = read

    def lines(self) -> Iterator[str]:
        """The whole lines that are new."""
        try:
            files = sorted(self._folder.glob(PATTERN))
        except OSError as error:
            log.warning("%s: cannot be read (%s)", self._folder, error.strerror)
            return
        for path in files:
            try:
                yield from self._of(path)
            except OSError as error:
                log.warning("%s: cannot be read (%s)", path, error.strerror)

    def _of(self, path: Path) -> Iterator[str]:
        begins, at = self._read.get(path.name, (0, 0))
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if at > path.stat().st_size or begins != zlib.crc32(head[:at]):
                at = 0  # another file, or one that was cut
            file.seek(at)
            data = file.read(_MOST_BYTES)
        whole, _, _ = data.rpartition(b"\n")
        if whole:
            at += len(whole) + 1
        elif len(data) == _MOST_BYTES:
            at += len(data)  # no line is as long as this
        self._read[path.name] = zlib.crc32(head[:at]), at
        for line in whole.split(b"\n"):
            if line:
                yield line.decode("utf-8", "replace")
