"""A device in a few lines of the wire's own parts: it seals, and reads what comes down."""

from typing import Any

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.wire import control, seal
from edge_sdk.wire.batch import encode_columns, encode_rows
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.keys import Ratchet, down_key, next_chain_key, root_key
from edge_sdk.wire.topics import topic
from edge_sdk.wire.touchpoint import Touchpoint

SUITE = AesCcm()
SECRET = bytes(range(32))
START_MS = 1_800_000_000_000


class LittleDevice:
    """Keeps nothing: whoever tests it says what is held and what is sent again."""

    def __init__(self, enrolment: Enrolment) -> None:
        self.number = enrolment.device
        self.tenant = enrolment.tenant
        self.generation = enrolment.generation
        self.epoch = -1
        self.seq = 0
        self._chain_key = root_key(SUITE, enrolment.tenant, enrolment.site, enrolment.secret)
        self._ratchet: Ratchet | None = None
        self._down_key = b""

    def skip_epochs(self, count: int) -> None:
        """As after so many starts at which nothing was sealed."""
        for _ in range(count):
            self._chain_key = next_chain_key(SUITE, self._chain_key)
        self.epoch += count

    def start(self, *held: tuple[int, int, int], now_ms: int = START_MS) -> bytes:
        """The hello of a new epoch, which still holds these runs of older ones."""
        self.epoch += 1
        self.seq = 0
        self._ratchet = Ratchet.of_epoch(SUITE, self._chain_key)
        self._down_key = down_key(SUITE, self._chain_key)
        self._chain_key = next_chain_key(SUITE, self._chain_key)
        hello = control.Hello(now_ms, "little device", list(held))
        return self.seal(seal.HELLO, control.encode_hello(hello))

    def rows(self, *touchpoints: Touchpoint) -> bytes:
        return self.seal(seal.ROWS, encode_rows(list(touchpoints)))

    def columns(self, *touchpoints: Touchpoint) -> bytes:
        return self.seal(seal.COLUMNS, encode_columns(list(touchpoints)))

    def notice(self, *gaps: tuple[int, int, int, int, int]) -> bytes:
        return self.seal(seal.NOTICE, control.encode_notice(list(gaps)))

    def seal(self, kind: int, plaintext: bytes) -> bytes:
        assert self._ratchet is not None
        header = seal.Header(kind, self.generation, self.number, self.epoch, self.seq)
        message = seal.seal_up(SUITE, header, self._ratchet.message_key(), plaintext)
        self.seq += 1
        self._ratchet = self._ratchet.at(self.seq)
        return message

    def topic(self, lane: str) -> str:
        return topic(self.tenant, lane, self.number)

    def read(self, message: bytes) -> tuple[str, Any]:
        """("ack", ranges), ("refusal", rows) or ("prompt", Prompt). Raises Refused."""
        header = seal.read_header(message, seal.DOWN_KINDS)
        if (header.device, header.generation, header.epoch) != (
            self.number,
            self.generation,
            self.epoch,
        ):
            raise seal.Refused("epoch")
        key = SUITE.hmac(self._down_key, header.incarnation)
        plaintext = seal.open_down(SUITE, header, key, message)
        if header.kind == seal.ACK:
            return "ack", control.decode_ack(plaintext)
        if header.kind == seal.REFUSAL:
            return "refusal", control.decode_refusal(plaintext)
        return "prompt", control.decode_prompt(plaintext)
