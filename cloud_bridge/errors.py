"""What can go wrong in the bridge, besides a bad setting and the disk (`edge_sdk.errors`)."""

from edge_sdk.errors import EdgeError, StorageError


class BridgeError(EdgeError):
    """Root of what only the bridge raises on purpose."""


class RulesError(BridgeError):
    """Ours: a file of rules cannot work. The message names the entry and what to do."""


class StalledError(BridgeError):
    """Theirs: the disk takes nothing at the moment. Try again."""


class KeyRefusedError(BridgeError):
    """Ours: an API key cannot be made as asked. The message says what it can be."""


class BeaconError(BridgeError):
    """Ours: a beacon cannot be registered as asked. The message says what it can be, no key."""


class CollectError(BridgeError):
    """Theirs: a body of POST /collect that is not what it should be.

    `status` is the HTTP status. The message names a place in the body, never a value.
    """

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


class FencedError(StorageError):
    """Another owner has opened the store since: this one may write nothing any more. Stop."""


class SnapshotError(BridgeError):
    """Theirs: what is derived cannot be used and cannot be made again; the message says why."""
