"""What the portable checks ask of a refusal: that there is one, and that it is the right one."""

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def raw(hexadecimal: str) -> bytes:
    """Bytes of a file's hexadecimal."""
    return bytes.fromhex(hexadecimal)


def refused(error: "type[Exception]", call: "Callable[..., Any]", *arguments: "Any") -> "Any":
    """What is raised, which must be this error."""
    try:
        call(*arguments)
    except error as raised:
        return raised
    raise AssertionError("not refused")


def read_or_refused(
    error: "type[Exception]", decode: "Callable[[bytes], Any]", data: bytes
) -> None:
    """Whatever the bytes are: a value, or the module's own error."""
    try:  # noqa: SIM105 -- a board has no contextlib
        decode(data)
    except error:
        pass
