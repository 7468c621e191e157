"""What an object remembers: every text and every byte that can be reached from it."""

import gc
import hashlib
import types
from collections.abc import Iterator
from typing import Any

# What all objects share is not what one of them remembers.
_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def reachable(*roots: Any) -> Iterator[Any]:
    """Every object that these hold, however deep."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        yield one
        waiting += gc.get_referents(one)


def remembered(*roots: Any) -> bytes:
    """All text and bytes of theirs, in one piece, one after another."""
    parts = []
    for one in reachable(*roots):
        if isinstance(one, str):
            parts.append(one.encode())
        elif isinstance(one, bytes | bytearray):
            parts.append(bytes(one))
        elif isinstance(one, int):
            parts.append(b"%d" % one)
    return b"\n".join(parts)


def disguises(identifier: str) -> list[bytes]:
    """How an identifier may hide: as text, bytes, a number, and hashes without a key of these."""
    digits = identifier.rpartition(":")[2].replace("-", "")
    forms = [identifier.encode(), digits.encode(), digits.upper().encode()]
    plain = bytes.fromhex(digits) if len(digits) % 2 == 0 else digits.encode()
    colons = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    forms += [plain, plain[::-1], colons.encode(), colons.upper().encode()]
    numbers = [int(digits, 16), int.from_bytes(plain[::-1])]
    hashed = [
        hashlib.new(name, form).digest()
        for name in ("md5", "sha1", "sha256", "blake2b")
        for form in forms
    ]
    return [
        *forms,
        *(b"%d" % number for number in numbers),
        *(digest[:8] for digest in hashed),
        *(digest.hex()[:16].encode() for digest in hashed),
    ]


def found(identifiers: list[str], data: bytes) -> list[str]:
    """Those of which any disguise is in the data."""
    return [name for name in identifiers if any(form in data for form in disguises(name))]
