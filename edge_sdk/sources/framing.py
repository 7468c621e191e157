"""Where one message of a serial line ends and the next begins: lines of text, or bytes as read."""

import re
from typing import Protocol, TypeVar

from edge_sdk.errors import ConfigError

Message = TypeVar("Message")

# What a text may hold beside what can be seen: tab, and the separators of GS1 and ISO 15434 codes.
_SEPARATORS = frozenset("\t\x04\x1d\x1e")
_ENDS = re.compile(rb"[\r\n]+")


class Framing(Protocol[Message]):
    """Cuts what a serial line reads into messages. Called in the line's own thread.

    `counts` tells what was not passed on, by reason.
    """

    counts: dict[str, int]

    def feed(self, data: bytes) -> list[Message]:
        """The messages that end within `data`."""
        ...

    def reset(self) -> None:
        """The line was cut: what has begun will not be finished."""
        ...


class Lines:
    """Lines of text, ended by CR, LF or both; empty ones are skipped.

    counts: `garbled` (not of this encoding, or with control characters: the usual face of a wrong
    baud rate), `too_long` (over `max_bytes`; skipped to its end), `half` (cut by an unplugged
    cable). Raises ConfigError for an encoding that Python does not have, or in which CR is no byte.
    """

    def __init__(self, max_bytes: int = 4096, encoding: str = "utf-8") -> None:
        if max_bytes < 1:
            raise ConfigError("max_bytes of a line is 1 at least")
        try:
            ends = "\r\n".encode(encoding)
        except LookupError:
            raise ConfigError(f"no text encoding is called {encoding!r}") from None
        if ends != b"\r\n":
            raise ConfigError(f"lines cannot be told apart in {encoding}")
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._begun = b""
        self._skips = False  # until the end of a line that is too long
        self.counts = {"garbled": 0, "too_long": 0, "half": 0}

    def feed(self, data: bytes) -> list[str]:
        *ended, begun = _ENDS.split(self._begun + data)
        lines = []
        for raw in ended:
            if self._skips:
                self._skips = False
            elif len(raw) > self._max_bytes:
                self.counts["too_long"] += 1
            elif raw:
                line = self._text(raw)
                if line is None:
                    self.counts["garbled"] += 1
                else:
                    lines.append(line)
        if self._skips:
            begun = b""
        elif len(begun) > self._max_bytes:
            self.counts["too_long"] += 1
            self._skips = True
            begun = b""
        self._begun = begun
        return lines

    def reset(self) -> None:
        if self._begun:
            self.counts["half"] += 1
        self._begun = b""
        self._skips = False

    def _text(self, raw: bytes) -> str | None:
        try:
            text = raw.decode(self._encoding)
        except UnicodeError:
            return None
        return text if is_plain(text) else None


class Chunks:
    """Bytes as they were read, for whoever has a framing of its own further up."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def reset(self) -> None:
        """Nothing is kept, so nothing is lost."""


def is_plain(text: str) -> bool:
    """Whether a text holds no control characters but the separators of barcodes, and tabs."""
    return not any(
        char < " " or "\x7f" <= char <= "\x9f" for char in text if char not in _SEPARATORS
    )
