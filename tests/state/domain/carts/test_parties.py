"""Who is asked for a party, and for how much of it."""

from state.domain.carts.parties import Party


def asked_on(party: Party) -> list[bytes]:
    """Return who is asked one after the other, beginning with whom it has been asked."""
    asked = [party.sections[0]]
    while (section := party.next_section()) is not None:
        asked.append(section)
        party = party._replace(parts=(*party.parts, 10 + len(asked)))
    return asked


def test_d12_each_section_is_asked_for_all_before_any_is_asked_for_less() -> None:
    party = Party((b"B", b"A", b"C"), (4,))
    assert asked_on(party) == [b"B", b"A", b"C"] * 2
    whole = Party((b"B", b"A", b"C"), (4, 5, 6, 7, 8, 9))
    assert [number for number in whole.parts if whole.takes_fewer(number)] == [7, 8]


def test_d12_a_party_of_one_section_is_asked_for_once() -> None:
    party = Party((b"A",), (0,))
    assert asked_on(party) == [b"A"]
    assert not party.takes_fewer(0)
