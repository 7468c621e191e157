"""The token that makes a device one of a tenant's: written by the bridge, used once by the device.

    "edge1." base64url( MessagePack [tenant, site, device, generation, secret] | CRC-32 4 )

It carries the secret from which both sides derive CK_0. Whoever reads it can be that device, so it
travels like a password and is destroyed once both sides have used it.
"""

import binascii
import struct

from .packing import PackingError, pack, unpack
from .topics import is_tenant

SECRET_BYTES = 32
_PREFIX = "edge1."
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class EnrolmentError(ValueError):
    """Theirs: this is no enrolment token. The message never repeats it."""


class Enrolment:
    """Who a device is, and the secret that it shares with the bridge until its first epoch."""

    __slots__ = ("device", "generation", "secret", "site", "tenant")

    def __init__(self, tenant: str, site: str, device: int, generation: int, secret: bytes) -> None:
        self.tenant = tenant
        self.site = site
        self.device = device
        self.generation = generation
        self.secret = secret

    def __repr__(self) -> str:
        return "<Enrolment of device %08x of %s>" % (self.device, self.tenant)


def to_token(enrolment: Enrolment) -> str:
    """The token to hand to the device, over a way that others cannot read."""
    data = pack(
        [
            enrolment.tenant,
            enrolment.site,
            enrolment.device,
            enrolment.generation,
            enrolment.secret,
        ]
    )
    data += struct.pack(">I", binascii.crc32(data))
    text = binascii.b2a_base64(data).decode().strip().rstrip("=")
    return _PREFIX + text.replace("+", "-").replace("/", "_")


def from_token(token: str) -> Enrolment:
    """Raises EnrolmentError where the token was cut, mistyped or is something else."""
    token = token.strip()
    if not token.startswith(_PREFIX) or len(token) > 512:
        raise EnrolmentError("an enrolment token starts with %s" % _PREFIX)
    text = token[len(_PREFIX) :]
    # Base64 decoders differ in what they pass over and in what they raise: they get only good text.
    if len(text) % 4 == 1 or not all([letter in _LETTERS for letter in text]):
        raise EnrolmentError("the enrolment token was mistyped")
    text = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    data = binascii.a2b_base64(text.encode())
    if len(data) < 4 or struct.unpack(">I", data[-4:])[0] != binascii.crc32(data[:-4]):
        raise EnrolmentError("the enrolment token was cut or mistyped")
    try:
        parts = unpack(data[:-4])
    except PackingError:
        raise EnrolmentError("the enrolment token was written by something else")
    if not isinstance(parts, list) or len(parts) < 5:
        raise EnrolmentError("the enrolment token was written by something else")
    tenant, site, device, generation, secret = parts[:5]
    good = (
        isinstance(tenant, str)
        and is_tenant(tenant)
        and isinstance(site, str)
        and 0 < len(site) <= 64
        and isinstance(device, int)
        and 0 <= device < 1 << 32
        and isinstance(generation, int)
        and 0 <= generation < 256
        and isinstance(secret, bytes)
        and len(secret) == SECRET_BYTES
    )
    if not good:
        raise EnrolmentError("the enrolment token was written by something else")
    return Enrolment(tenant, site, device, generation, secret)
