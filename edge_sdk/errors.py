"""What can go wrong, for people who embed the SDK: ours (a caller's mistake) or theirs."""


class EdgeError(Exception):
    """Root of everything the SDK raises on purpose."""


class ConfigError(EdgeError):
    """Ours: a setting or a file of settings cannot work. The message says which and what to do."""


class StorageError(EdgeError):
    """Theirs: the disk. What was committed stays; nothing of the failed call was kept."""


class DiskFullError(StorageError):
    """Theirs: no room. Work resumes when there is some."""


class CorruptError(StorageError):
    """Theirs: a file is not what was written to it."""


class ClosedError(EdgeError):
    """Ours: the device has been closed, or was not entered with `async with`."""


class SourceError(EdgeError):
    """Theirs: a device at this machine, a scanner or a modem, cannot be used now."""


class RadioError(SourceError):
    """Theirs: a radio, or the system's service behind it.

    `trouble` is a key of `edge_sdk.sources.trouble.TROUBLES`, which says what to do about it.
    """

    def __init__(self, trouble: str, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class PublicKeyError(EdgeError):
    """Theirs: a public key with which no secret can be agreed."""
