"""What an identifier belongs to, by its scheme: the part before its first colon.

Only log-ins, cards and the like name a person; only a person's own things can lead to one; what
people share never does. Nor does an identifier that changes with time, by itself: whose it is, the
bridge may know (cloud_bridge/resolving.py), and then the thing that emits it stands in its place.
"""

from typing import Final, TypeGuard

OTHER, PERSON, OWN, SHARED = range(4)

_KINDS: Final = {
    **dict.fromkeys(("crm", "login", "loyalty"), PERSON),
    **dict.fromkeys(("app", "ble", "cookie", "phone", "tag"), OWN),
    **dict.fromkeys(("kiosk", "line", "number", "tablet", "wifi"), SHARED),
    **dict.fromkeys(("eid", "rpa", "tel"), OTHER),
    "p24": OTHER,  # a gateway's pseudonym, which it forgets within 24 hours: it leads to nobody
}
# A handle's lowest bits hold its kind, so that a log without identifiers still tells.
KIND_BITS: Final = 2
_MASK: Final = (1 << KIND_BITS) - 1
# No identifier has a handle up to this. They stand, one of each kind, where an erased handle stood:
# nobody, but of a kind, so that what others were and did stays as it was.
LAST_NOBODY: Final = _MASK


def kind_of(identifier: str) -> int:
    """OTHER where the scheme is none that we know."""
    return _KINDS.get(identifier.partition(":")[0], OTHER)


def kind_of_handle(handle: int) -> int:
    """What `kind_of` told of the identifier when it got its handle."""
    return handle & _MASK


def nobody_like(handle: int) -> int:
    """What stands in the place of a handle that was erased."""
    return handle & _MASK


def is_identifier(value: object) -> TypeGuard[str]:
    """Whether a value is of a scheme that we know: then it is an identifier wherever it stands."""
    return isinstance(value, str) and value.partition(":")[0] in _KINDS and ":" in value
