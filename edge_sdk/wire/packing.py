"""MessagePack for the wire: nil, booleans, integers, str, bin and arrays, in shortest form.

The form is that of github.com/msgpack/msgpack/blob/master/spec.md. Packing is the hot direction at
the edge, so CPython packs with the C library and a board with the same subset in Python; the
vectors hold both to the same bytes. What an edge unpacks are short messages from the bridge: one
strict reader serves both (the bridge reads whole batches with msgspec).
"""

import struct

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

try:
    import msgpack  # a dependency on CPython; a board has none
except ImportError:
    msgpack = None

MAX_DEPTH = 6


class PackingError(ValueError):
    """Theirs: the bytes are not the subset of MessagePack that the wire uses."""


def utf8(text: str) -> "bytes | None":
    """UTF-8 of a text, or None where it has none (RFC 3629, 3): a lone surrogate, say.

    A board's str may hold anything that resembles UTF-8, such as what a scanner sent, and one such
    text would make a whole batch malformed.
    """
    try:
        data = text.encode()
    except ValueError:
        return None
    if len(data) == len(text):
        return data
    size = 0
    for letter in text:
        point = ord(letter)
        if 0xD800 <= point < 0xE000 or point > 0x10FFFF:
            return None
        size += 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4
    return data if size == len(data) else None


def pack_portably(value: object) -> bytes:
    """Shortest MessagePack of nil, bool, int, str, bytes, list or tuple.

    Raises OverflowError for an integer beyond 64 bits.
    """
    out = bytearray()
    _append(out, value)
    return bytes(out)


def _append(out: bytearray, value: object) -> None:
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _append_int(out, value)
    elif isinstance(value, str):
        data = value.encode()
        _append_head(out, len(data), 0xA0, 31, 0xD9)
        out.extend(data)
    elif isinstance(value, (bytes, bytearray)):
        _append_head(out, len(value), 0, -1, 0xC4)
        out.extend(value)
    elif isinstance(value, (list, tuple)):
        _append_head(out, len(value), 0x90, 15, 0xDB)
        for item in value:
            _append(out, item)
    else:
        raise TypeError("the wire has no form for this type")


def _append_head(out: bytearray, size: int, fixed: int, fixed_max: int, code8: int) -> None:
    # Arrays have no 8-bit form: their 16-bit code, 0xDC, follows where code8 would be 0xDB.
    if size <= fixed_max:
        out.append(fixed | size)
    elif size < 256 and code8 != 0xDB:
        out.extend(struct.pack(">BB", code8, size))
    elif size < 65536:
        out.extend(struct.pack(">BH", code8 + 1, size))
    else:
        out.extend(struct.pack(">BI", code8 + 2, size))


def _append_int(out: bytearray, value: int) -> None:
    if not -(1 << 63) <= value < 1 << 64:
        raise OverflowError("an integer of more than 64 bits")  # a board's struct would cut it
    if 0 <= value < 128:
        out.append(value)
    elif -32 <= value < 0:
        out.append(256 + value)
    elif value >= 0:
        if value < 256:
            out.extend(struct.pack(">BB", 0xCC, value))
        elif value < 65536:
            out.extend(struct.pack(">BH", 0xCD, value))
        elif value < 1 << 32:
            out.extend(struct.pack(">BI", 0xCE, value))
        else:
            out.extend(struct.pack(">BQ", 0xCF, value))
    elif value >= -128:
        out.extend(struct.pack(">Bb", 0xD0, value))
    elif value >= -32768:
        out.extend(struct.pack(">Bh", 0xD1, value))
    elif value >= -(1 << 31):
        out.extend(struct.pack(">Bi", 0xD2, value))
    else:
        out.extend(struct.pack(">Bq", 0xD3, value))


# First byte -> (what it opens, struct format of the number that follows, that number's size).
_HEADS = {
    0xC4: ("bin", ">B", 1),
    0xC5: ("bin", ">H", 2),
    0xC6: ("bin", ">I", 4),
    0xCC: ("int", ">B", 1),
    0xCD: ("int", ">H", 2),
    0xCE: ("int", ">I", 4),
    0xCF: ("int", ">Q", 8),
    0xD0: ("int", ">b", 1),
    0xD1: ("int", ">h", 2),
    0xD2: ("int", ">i", 4),
    0xD3: ("int", ">q", 8),
    0xD9: ("str", ">B", 1),
    0xDA: ("str", ">H", 2),
    0xDB: ("str", ">I", 4),
    0xDC: ("array", ">H", 2),
    0xDD: ("array", ">I", 4),
}


def unpack(data: bytes) -> "Any":
    """The one value in `data`; arrays come out as lists. Raises PackingError."""
    value, end = _read(data, 0, 0)
    if end != len(data):
        raise PackingError("bytes follow the message")
    return value


def _read(data: bytes, at: int, depth: int) -> "tuple[Any, int]":
    if at >= len(data):
        raise PackingError("the message is cut short")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 256, at
    if first == 0xC0:
        return None, at
    if first in (0xC2, 0xC3):
        return first == 0xC3, at
    if 0xA0 <= first < 0xC0:
        return _read_bytes(data, at, first & 31, "str")
    if 0x90 <= first < 0xA0:
        return _read_array(data, at, first & 15, depth)
    head = _HEADS.get(first)
    if head is None:
        raise PackingError("a form that the wire does not use")
    kind, form, size = head
    if at + size > len(data):
        raise PackingError("the message is cut short")
    number = struct.unpack_from(form, data, at)[0]
    at += size
    if kind == "int":
        return number, at
    if kind == "array":
        return _read_array(data, at, number, depth)
    return _read_bytes(data, at, number, kind)


def _read_bytes(data: bytes, at: int, size: int, kind: str) -> "tuple[Any, int]":
    end = at + size
    if end > len(data):
        raise PackingError("the message is cut short")
    piece = bytes(data[at:end])
    if kind == "bin":
        return piece, end
    try:
        text = piece.decode()
    except ValueError:  # UnicodeError is its child, and a board has only the parent
        raise PackingError("text is not UTF-8")
    if utf8(text) is None:
        raise PackingError("text is not UTF-8")
    return text, end


def _read_array(data: bytes, at: int, size: int, depth: int) -> "tuple[Any, int]":
    # Every item takes a byte at least, so a claimed size beyond the data is refused unallocated.
    if depth >= MAX_DEPTH or size > len(data) - at:
        raise PackingError("an array is deeper or longer than the message allows")
    items = []
    for _ in range(size):
        item, at = _read(data, at, depth + 1)
        items.append(item)
    return items, at


def _pack_natively(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


pack = pack_portably if msgpack is None else _pack_natively
