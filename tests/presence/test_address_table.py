"""The table of addresses finds whose they are, whatever is added and removed meanwhile."""

import random

import pytest

from edge_sdk.adapters.aes import ecb
from edge_sdk.presence.address_table import AddressTable
from edge_sdk.presence.identifiers import private_address


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def address(number: int, nonce: int = 0) -> bytes:
    return private_address(ecb, key(number), nonce.to_bytes(3, "big"))


def table_of(count: int, **bounds: int) -> AddressTable:
    table = AddressTable(ecb, **bounds)
    for number in range(count):
        table.add(f"n{number}", key(number))
    return table


def searched(table: AddressTable) -> list[tuple[bytes, str]]:
    return table.search(1_000_000)


def test_many_addresses_of_many() -> None:
    table = table_of(40)
    asked = {address(number, nonce): number for number in range(60) for nonce in range(9)}
    for each in asked:
        assert table.resolve(each) is None
    found = dict(searched(table))
    assert found == {each: f"n{number}" for each, number in asked.items() if number < 40}
    for each, number in asked.items():
        assert table.resolve(each) == (f"n{number}" if number < 40 else None)
    assert searched(table) == []


def test_a_search_goes_on_where_it_stopped() -> None:
    table = table_of(10)
    table.resolve(address(9))
    assert table.search(9) == []
    assert table.search(1) == [(address(9), "n9")]


def test_what_is_no_resolvable_address_is_not_tried() -> None:
    table = table_of(1)
    for each in (b"", b"\x40" * 5, b"\x40" * 7, b"\xc0" * 6, bytes(6)):
        assert table.resolve(each) is None
    assert not table.searching


def test_a_key_added_later_finds_what_was_nobodys() -> None:
    table = table_of(3)
    table.resolve(address(7))
    assert searched(table) == []
    assert table.add("late", key(7)) == [(address(7), "late")]
    assert table.resolve(address(7)) == "late"


def test_a_removed_identity_is_unknown() -> None:
    table = table_of(5)
    table.resolve(address(2))
    searched(table)
    table.remove("n2")
    table.remove("n2")
    assert table.identities == 4
    assert table.resolve(address(2)) is None
    table.resolve(address(2, 1))
    table.resolve(address(4, 1))
    assert searched(table) == [(address(4, 1), "n4")]


def test_one_removed_during_a_search_does_not_hide_another() -> None:
    for gone in range(6):
        table = table_of(6)
        for number in range(6):
            table.resolve(address(number))
        found = table.search(3)
        table.remove(f"n{gone}")
        found += searched(table)
        names = {name for _, name in found}
        assert {f"n{number}" for number in range(6)} - names <= {f"n{gone}"}


def test_an_identity_added_again_has_its_new_key_alone() -> None:
    table = table_of(2)
    table.add("n1", key(5))
    assert table.identities == 2
    table.resolve(address(1))
    table.resolve(address(5))
    assert searched(table) == [(address(5), "n1")]


def test_what_is_remembered_and_what_waits_are_bounded() -> None:
    table = table_of(2, max_addresses=50, max_waiting=20)
    dice = random.Random(3)
    for _ in range(100):
        table.resolve(address(99, dice.randrange(1 << 22)))
    assert table.counts["dropped"] == 80
    assert len(table._waiting) == 20
    for _ in range(100):
        table.resolve(address(99, dice.randrange(1 << 22)))
        searched(table)
    assert len(table._known) <= 50
    assert table.counts["forgotten"] >= 60
    table.resolve(address(1, 1))
    assert searched(table) == [(address(1, 1), "n1")]


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        table_of(0).add("n", bytes(15))


def test_no_key_is_in_a_repr() -> None:
    assert repr(table_of(2)) == "<AddressTable of 2 identities>"
