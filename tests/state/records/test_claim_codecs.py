"""What another shop says is read, and told to its section."""

from support.payments.claims import TYPE, completed

from schemas.topics import SECTION_COMMANDS, subject
from serdes.decoding import Decoded
from serdes.registry.ids import counted_ids
from serdes.wire import schema_id_of
from state.records.claim_codecs import ClaimCodecs

IDS = counted_ids()
CODECS = ClaimCodecs.of(IDS)


def test_a_record_of_another_shop_is_read_under_its_own_id() -> None:
    _, value = completed("r1", 9_000)
    verdict = CODECS.records.decode(value)
    assert isinstance(verdict, Decoded)
    assert verdict.name == TYPE
    assert verdict.fields[:1] == (b"r1.1.0",)


def test_a_claim_is_written_as_a_command_of_the_section() -> None:
    who = CODECS.commands.identity("r1", "ann", "A-1", 7)
    value = CODECS.commands.claim_payment(who, 1, b"mock", b"ch_1", 9_000, b"EUR")
    name = "io.seatstream.commands.ClaimPayment"
    assert schema_id_of(value) == IDS.id_by_subject[subject(SECTION_COMMANDS, name)]
