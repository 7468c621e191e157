"""A source of calls as a source of touchpoints, which is what a gateway takes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, Self

from edge_sdk.calls.model import CallEvent
from edge_sdk.wire.touchpoint import Touchpoint


class CallSource(Protocol):
    """Whatever tells of calls: a modem, a caller-id box."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *exc_info: object) -> object: ...

    def __aiter__(self) -> AsyncIterator[CallEvent]: ...

    async def __anext__(self) -> CallEvent: ...

    def close(self, at_ms: int) -> Sequence[CallEvent]:
        """The ends of the calls that are open, once it is left for good."""
        ...


class CallTouchpoints:
    """`Gateway(device, engine, {"phone": CallTouchpoints(Modem(...))})`: touchpoints `call`."""

    def __init__(self, source: CallSource) -> None:
        self.source = source

    @property
    def counts(self) -> Mapping[str, int]:
        return self.source.counts

    async def __aenter__(self) -> Self:
        await self.source.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.source.__aexit__(*exc_info)

    def close(self, at_ms: int) -> list[Touchpoint]:
        """The ends of the calls that are open; `Gateway` asks for them when it is left."""
        return [event.touchpoint() for event in self.source.close(at_ms)]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Touchpoint:
        return (await anext(self.source)).touchpoint()
