"""What follows a commit: acknowledgements, refusals, prompts and their dispatches, as messages.

Nothing here waits. Prompts and screen pops go first: somebody is waiting for them.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from cloud_bridge import registering
from cloud_bridge.clock import Clock
from cloud_bridge.dispatch import Downlink, Message
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Registry
from cloud_bridge.store import PromptRow
from cloud_bridge.turn import Answer, Outcome, Token, Turn
from edge_sdk.errors import StorageError

log = logging.getLogger(__name__)

_LOGGED = ("gap",)  # what each customer does is in /feed, and counted


class Following:
    """`follow` each turn once it is durable.

    due_s    when the next prompt has to be dispatched again; None: there is none
    expired  prompts that ended without an outcome, to be stored with the next turn
    """

    def __init__(
        self,
        intake: Intake,
        registry: Registry,
        downlink: Downlink,
        clock: Clock,
        deliver: Callable[[Outcome], None],
    ) -> None:
        self.due_s: float | None = None
        self.expired: list[PromptRow] = []
        self._intake = intake
        self._registry = registry
        self._downlink = downlink
        self._clock = clock
        self._deliver = deliver

    def busy(self, turn: Turn) -> list[Message]:
        """Tell who waits for an acknowledgement that there is none for now."""
        told = []
        for device, held in turn.acks.items():
            ear = self._intake.receivers[device].ear
            if ear is not None:
                refused = [(epoch, seq, "busy") for epoch, seq in held]
                told.append(self._downlink.refuse(ear, device, refused))
        return told

    def follow(
        self,
        turn: Turn,
        tokens: list[Token],
        answers: Sequence[tuple[Answer, Any]] = (),
    ) -> None:
        """Prompts first: somebody is waiting for them."""
        prompts = self._prompts(turn)
        if prompts or turn.pops:
            self._deliver(Outcome(messages=prompts, pops=turn.pops))
        outcome = Outcome(
            tokens=tokens, events=turn.events, leases=turn.leases, answers=list(answers)
        )
        for device in turn.started:
            log.info("device %08x begins epoch %d", device, self._intake.newest_epoch(device))
        for event in turn.events:
            if event.kind in _LOGGED:
                log.info("%s: %s", event.kind, event.fields)
        for device, held in turn.acks.items():
            ear = self._intake.receivers[device].ear
            if ear is not None:
                outcome.messages += self._downlink.acknowledge(ear, device, held)
        for (device, ear), refused in turn.refusals.items():
            outcome.messages.append(self._downlink.refuse(ear, device, refused))
        said = outcome.messages or outcome.tokens or outcome.events or outcome.answers
        if said or outcome.leases:
            self._deliver(outcome)
        self._forget_root_keys(turn)
        registering.follow(self._registry, turn)
        self.due_s = self._intake.outstanding.next_s()

    def _prompts(self, turn: Turn) -> list[Message]:
        now_s = self._clock.steady_s()
        outstanding = self._intake.outstanding
        for row in turn.prompts:
            outstanding.add(row, row.expires_ms - row.created_ms, now_s)
        for device in turn.started:
            outstanding.hurry(device, now_s)
        due, self.expired = outstanding.take_due(now_s)
        messages = []
        for row, prompt in due:
            receiver = self._intake.receivers.get(row.device)
            if receiver is not None and receiver.ear is not None:
                messages.append(self._downlink.prompt(receiver.ear, row.device, prompt))
        return messages

    def _forget_root_keys(self, turn: Turn) -> None:
        if turn.adopted:
            log.info("%d enrolments taken over from the registry", len(turn.adopted))
            try:
                self._registry.forget_keys(turn.adopted)
            except StorageError as error:
                log.error("root keys stay in the registry for now: %s", error)
