"""Rotating identities: what it costs to hold, look up, refresh and search 10,000 of them.

Processor time of one core; the identities are heard, unheard for a month, and heard again. Then
what it adds to a touchpoint on its way into the bridge, as a ratio measured in the same run.
"""

import argparse
import random
import time
import tracemalloc

from benches import _report
from benches._resolving import resolving_told
from edge_sdk.adapters.aes import ecb
from edge_sdk.presence.address_table import AddressTable
from edge_sdk.presence.eid_table import EidTable
from edge_sdk.presence.identifiers import ah, eid_at, private_address

START_S = 1_700_000_000
MONTH_S = 30 * 86_400
EXPONENT = 10

Rows = list[tuple[str, object, str]]


def main(argv: list[str]) -> int:
    """Measure both tables, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--identities", type=int, default=10_000, metavar="N")
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.identities < 10:
        parser.error("--identities is 10 at least")
    dice = random.Random(args.seed)
    keys = [dice.randbytes(16) for _ in range(args.identities)]
    rows, told = eids_told(keys, dice)
    more_rows, more_told = addresses_told(keys, dice)
    on_the_way, figures = resolving_told(keys, dice)
    keys_told = {"identities": len(keys), **told, **more_told, **figures}
    _report.publish("identities", rows + more_rows + on_the_way, keys_told, args)
    return 0


def eids_told(keys: list[bytes], dice: random.Random) -> tuple[Rows, dict[str, object]]:
    """The table of EIDs: filled, asked, refreshed, searched."""
    table = EidTable(ecb)
    tracemalloc.start()
    for number, key in enumerate(keys):
        table.add(f"n{number}", key, EXPONENT, 0, START_S)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    timed = EidTable(ecb)
    began_s = time.process_time()
    for number, key in enumerate(keys):
        timed.add(f"n{number}", key, EXPONENT, 0, START_S)
    add_us = (time.process_time() - began_s) / len(keys) * 1e6

    asked = [eid_at(ecb, key, EXPONENT, 0) for key in keys]
    look_up_us = []
    for at_s in (START_S + 120, START_S + 121):
        began_s = time.process_time()
        resolved = sum(table.resolve(eid, at_s) is not None for eid in asked)
        look_up_us.append((time.process_time() - began_s) / len(keys) * 1e6)
        if resolved != len(keys):
            raise AssertionError("an identity was not resolved")

    began_s, refreshed = time.process_time(), 0
    for elapsed_s in range(0, 86_400, 10):
        refreshed += table.refresh(START_S + elapsed_s, len(keys))
    day_s = time.process_time() - began_s

    now_s = START_S + MONTH_S
    while table.refresh(now_s, 1000) == 1000:
        pass
    restarted = {eid_at(ecb, key, EXPONENT, MONTH_S // 2): key for key in keys[::100]}
    for eid in restarted:
        table.resolve(eid, now_s)
    began_s, found = time.process_time(), 0
    while table.searching:
        found += len(table.search(now_s, 10_000))
    search_s = time.process_time() - began_s
    if found < len(restarted):
        raise AssertionError("a beacon that restarted was not found")
    rows: Rows = [
        ("us to add", add_us, ""),
        ("EIDs held", table.eids, "by all of them"),
        ("bytes an identity", held_bytes / len(keys), ""),
        ("us a look-up", look_up_us[1], "heard again within a minute"),
        ("us a look-up", look_up_us[0], "with what it teaches of the beacon's clock"),
        ("s a day to refresh", day_s, f"{refreshed:,} refreshes"),
        ("s to search all", search_s, f"silent for a month; {found:,} had lost their clock"),
    ]
    return rows, {
        "eid_us_add": add_us,
        "eid_us_look_up": look_up_us[1],
        "eid_us_look_up_learning": look_up_us[0],
        "eid_bytes_per_identity": held_bytes / len(keys),
        "eid_refresh_s_per_day": day_s,
        "eid_search_s": search_s,
        "eid_recovered": found,
    }


def addresses_told(keys: list[bytes], dice: random.Random) -> tuple[Rows, dict[str, object]]:
    """The table of addresses: asked and searched; beside it, one key after another."""
    table = AddressTable(ecb)
    for number, key in enumerate(keys):
        table.add(f"n{number}", key)
    strangers = [private_address(ecb, dice.randbytes(16), dice.randbytes(3)) for _ in range(192)]
    ours = [private_address(ecb, key, dice.randbytes(3)) for key in dice.sample(keys, 8)]
    for address in strangers + ours:
        table.resolve(address)
    began_s, found = time.process_time(), 0
    while table.searching:
        found += len(table.search(1000))
    search_s = time.process_time() - began_s
    if found < len(ours):
        raise AssertionError("an address of ours was not found")
    began_s = time.process_time()
    for key in keys[:2000]:
        ah(ecb, key, b"\x40\0\0")
    alone_us = (time.process_time() - began_s) / min(len(keys), 2000) * 1e6
    began_s = time.process_time()
    for address in ours * 1000:
        table.resolve(address)
    look_up_us = (time.process_time() - began_s) / (1000 * len(ours)) * 1e6
    together_us = search_s * 1e6 / len(keys) / (len(strangers) + len(ours))
    rows: Rows = [
        ("us a key and address", together_us, "200 addresses together"),
        ("  one after another", alone_us, "ah() alone"),
        ("us a known address", look_up_us, ""),
    ]
    return rows, {
        "rpa_us_per_key_and_address": together_us,
        "rpa_us_ah": alone_us,
        "rpa_us_look_up": look_up_us,
    }
