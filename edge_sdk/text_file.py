"""A file that people write, as text: every reason why it cannot be read is told the same way."""

from pathlib import Path

from edge_sdk.errors import ConfigError


def read_text(path: Path, what: str, most_bytes: int) -> str:
    """The whole of a UTF-8 file; `what` it should be is for the error.

    Raises ConfigError: it is not there, too large, not text, or cannot be read.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise ConfigError(f"{path}: over {most_bytes} bytes; this is no {what}")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
