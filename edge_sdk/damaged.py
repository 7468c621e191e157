"""Damaged SQLite files are kept for a repairer under another name, a few of them at most."""

from pathlib import Path

_KEPT = 3


def set_aside(path: Path) -> Path:
    """Move a database and its log out of the way; where the database is now."""
    kept = sorted(path.parent.glob(f"{path.name}.*damaged-*"), key=_number)
    number = _number(kept[-1]) + 1 if kept else 1
    for old in kept:
        if _number(old) <= number - _KEPT:
            old.unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.damaged-{number:04d}")
    # The log goes first: a new database must never find an old log beside it.
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        wal.replace(path.with_name(f"{path.name}.wal-damaged-{number:04d}"))
    if path.exists():
        path.replace(aside)
    return aside


def _number(damaged: Path) -> int:
    digits = damaged.name.rsplit("-", 1)[1]
    return int(digits) if digits.isdigit() else 0
