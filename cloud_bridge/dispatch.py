"""The way down: what is sealed for a device, and prompts that leave until an outcome comes back.

Nothing here waits or sends. What is sealed and cannot be sent is lost without harm: prompts are
dispatched again, and acknowledgements whenever a duplicate arrives.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cloud_bridge.receiving import Ear
from cloud_bridge.store import WAITING, PromptRow
from edge_sdk.wire import control
from edge_sdk.wire.seal import ACK, PROMPT, REFUSAL, Header, seal_down
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import DOWN, topic

FIRST_AGAIN_S = 2.0
# A message of 65,535 bytes holds more ranges than this, whatever their numbers.
_MOST_RANGES = 4096

# Topic, payload, QoS. An acknowledgement that is lost is given again when the batch comes again.
Message = tuple[str, bytes, int]


class Downlink:
    """Seals messages down. `incarnation`: 8 random bytes, drawn anew at each start."""

    def __init__(self, suite: Suite, tenant: str, incarnation: bytes) -> None:
        self._suite = suite
        self._tenant = tenant
        self._incarnation = incarnation
        self._next_seq: dict[int, int] = {}
        self._keys: dict[int, tuple[Ear, bytes]] = {}

    def acknowledge(
        self, ear: Ear, device: int, held: Sequence[tuple[int, int]]
    ) -> Iterator[Message]:
        """The (epoch, seq) that are held, as ranges."""
        ranges = _ranges(held)
        for at in range(0, len(ranges), _MOST_RANGES):
            yield self._seal(ear, device, ACK, control.encode_ack(ranges[at : at + _MOST_RANGES]))

    def refuse(self, ear: Ear, device: int, refused: Sequence[tuple[int, int, str]]) -> Message:
        """The (epoch, seq, reason) that were not taken; the first 4,096 of them."""
        return self._seal(
            ear, device, REFUSAL, control.encode_refusal(list(refused[:_MOST_RANGES]))
        )

    def prompt(self, ear: Ear, device: int, prompt: control.Prompt) -> Message:
        """One dispatch of a prompt."""
        return self._seal(ear, device, PROMPT, control.encode_prompt(prompt))

    def _key(self, device: int, ear: Ear) -> bytes:
        known = self._keys.get(device)
        if known is None or known[0] != ear:
            key = self._suite.hmac(ear.down_key, self._incarnation)
            known = self._keys[device] = ear, key
        return known[1]

    def _seal(self, ear: Ear, device: int, kind: int, plaintext: bytes) -> Message:
        seq = self._next_seq.get(device, 0)
        self._next_seq[device] = seq + 1
        key = self._key(device, ear)
        header = Header(kind, ear.generation, device, ear.epoch, seq, self._incarnation)
        sealed = seal_down(self._suite, header, key, plaintext)
        return topic(self._tenant, DOWN, device), sealed, 0 if kind == ACK else 1


def _ranges(held: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(epoch, first, last) of (epoch, seq) in any order."""
    ranges: list[tuple[int, int, int]] = []
    for epoch, seq in sorted(set(held)):
        if ranges and ranges[-1][0] == epoch and ranges[-1][2] + 1 == seq:
            ranges[-1] = (epoch, ranges[-1][1], seq)
        else:
            ranges.append((epoch, seq, seq))
    return ranges


@dataclass(slots=True)
class _Waiting:
    row: PromptRow
    expires_s: float
    again_s: float
    pause_s: float


class Outstanding:
    """Prompts without an outcome, each with its next dispatch.

    Times are seconds of one clock that does not jump.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._due: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._waiting

    def add(self, row: PromptRow, life_ms: int, now_s: float) -> None:
        """Dispatch it at once, and until it has lived `life_ms` more."""
        self._waiting[row.id] = _Waiting(row, now_s + life_ms / 1000, now_s, FIRST_AGAIN_S)
        heapq.heappush(self._due, (now_s, row.id))

    def settle(self, id_: int, device: int | None, outcome: str) -> PromptRow | None:
        """Its device says what became of it; the row to store, or None: not that device's."""
        waiting = self._waiting.get(id_)
        if waiting is None or waiting.row.device != device:
            return None
        del self._waiting[id_]
        return replace(waiting.row, state=outcome)

    def hurry(self, device: int, now_s: float) -> None:
        """The device has started anew and knows nothing: dispatch all of its prompts at once."""
        for id_, waiting in self._waiting.items():
            if waiting.row.device == device:
                waiting.again_s, waiting.pause_s = now_s, FIRST_AGAIN_S
                heapq.heappush(self._due, (now_s, id_))

    def next_s(self) -> float | None:
        """When something is due."""
        return self._due[0][0] if self._due else None

    def take_due(
        self, now_s: float
    ) -> tuple[list[tuple[PromptRow, control.Prompt]], list[PromptRow]]:
        """(prompts to dispatch now with the life that is left, rows of those that expired)."""
        dispatch: list[tuple[PromptRow, control.Prompt]] = []
        expired: list[PromptRow] = []
        while self._due and self._due[0][0] <= now_s:
            due_s, id_ = heapq.heappop(self._due)
            waiting = self._waiting.get(id_)
            if waiting is None or due_s < waiting.again_s:
                continue  # settled, or moved meanwhile
            left_ms = int((waiting.expires_s - now_s) * 1000)
            if left_ms <= 0:
                del self._waiting[id_]
                expired.append(replace(waiting.row, state="expired"))
                continue
            waiting.row = replace(waiting.row, dispatches=waiting.row.dispatches + 1)
            prompt = control.decode_prompt(waiting.row.payload)
            prompt.ttl_ms = left_ms
            dispatch.append((waiting.row, prompt))
            waiting.again_s = min(now_s + waiting.pause_s, waiting.expires_s)
            waiting.pause_s *= 2
            heapq.heappush(self._due, (waiting.again_s, id_))
        return dispatch, expired


def row_of(prompt: control.Prompt, device: int, now_ms: int) -> PromptRow:
    """How a new prompt is stored."""
    expires_ms = now_ms + prompt.ttl_ms
    payload = control.encode_prompt(prompt)
    return PromptRow(prompt.id, device, now_ms, expires_ms, WAITING, 0, payload)
