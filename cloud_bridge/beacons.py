"""Rotating identities as they are registered: what one is, and how its key comes about.

The name is a person's own thing (`tag:...`, `app:...`) and stands wherever the beacon was heard, if
its person agreed. Of two kinds:

    eid   an Eddystone-EID beacon: its identity key, the exponent K, and what its clock showed when
    irk   a phone or tag with resolvable private addresses: its identity resolving key
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from cloud_bridge.errors import BeaconError
from edge_sdk.adapters.x25519 import agree, new_private_key, public_key
from edge_sdk.errors import PublicKeyError
from edge_sdk.presence.identifiers import KEY_BYTES, MAX_EXPONENT, MAX_TIME_S, identity_key
from edge_sdk.wire.suite import Suite

EID, IRK = "eid", "irk"
KINDS: Final = (EID, IRK)
SCHEMES: Final = ("tag", "app")
PUBLIC_KEY_BYTES: Final = 32
DEFAULT_EXPONENT: Final = 10
# Of a tenant; each takes some 2 kB of memory.
MAX_IDENTITIES: Final = 200_000
_MAX_NAME: Final = 96


@dataclass(frozen=True, slots=True)
class Beacon:
    """An identity as the registry has it.

    serial         of this registration and no other
    beacon_time_s  what its clock showed at `at_s` of ours, in seconds (eid)
    key            None: the bridge has taken it over
    removed        it is to be forgotten
    """

    name: str = field(repr=False)
    kind: str
    serial: int
    exponent: int
    beacon_time_s: int
    at_s: int
    key: bytes | None = field(repr=False)
    removed: bool = False


def new_beacon(
    name: str,
    kind: str,
    key: bytes,
    at_s: int,
    *,
    exponent: int = DEFAULT_EXPONENT,
    beacon_time_s: int = 0,
) -> Beacon:
    """An identity to be registered. Raises BeaconError for what cannot be."""
    check_name(name)
    if kind not in KINDS:
        raise BeaconError(f"a beacon's kind is {' or '.join(KINDS)}")
    if len(key) != KEY_BYTES:
        raise BeaconError("a beacon's key is 16 bytes: 32 hexadecimal digits")
    if not 0 <= exponent <= MAX_EXPONENT:
        raise BeaconError(f"a beacon's exponent is 0 to {MAX_EXPONENT}")
    if not 0 <= beacon_time_s <= MAX_TIME_S:
        raise BeaconError(f"a beacon's clock is 0 to {MAX_TIME_S} s")
    return Beacon(name, kind, secrets.randbits(62), exponent, beacon_time_s, at_s, key)


def agreed(suite: Suite, beacon_public: bytes) -> tuple[bytes, bytes]:
    """The identity key of a beacon with this public key, and the public key to answer it with.

    Our private key is of this agreement alone, and forgotten with it. Raises BeaconError.
    """
    private = new_private_key()
    ours = public_key(private)
    try:
        shared = agree(private, beacon_public)
    except PublicKeyError as error:
        raise BeaconError(str(error)) from None
    return identity_key(suite.hmac, shared, ours, beacon_public), ours


def check_name(name: str) -> None:
    """Raises BeaconError."""
    scheme, _, rest = name.partition(":")
    visible = all("!" <= letter <= "~" for letter in name)
    if scheme not in SCHEMES or not rest or not visible or len(name) > _MAX_NAME:
        raise BeaconError("a beacon is named tag:ID or app:ID, in visible ASCII, 96 at most")


def from_hex(text: str, size: int, what: str) -> bytes:
    """Bytes of hexadecimal digits. Raises BeaconError, which repeats nothing of them."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != size or len(text) != 2 * size:
        raise BeaconError(f"{what} is {2 * size} hexadecimal digits")
    return found
