"""The outbox under crashes: captures, acknowledgements, prompts, shedding, epochs."""

import random
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benches._crash_history import Found, History, State
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import KeySlots, LocalFile, OpenSlots, Slot, enrol
from edge_sdk.outbox_store import FILE_NAME, Changes, OutboxStore
from edge_sdk.wire.enrolment import Enrolment, to_token
from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators.mix import bulk

# Small, so that the outbox sheds.
MAX_BYTES = 96 << 10
NOW_MS = 1_772_440_200_000
_ALL = 1 << 30
