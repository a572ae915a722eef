"""Every decoder and encoder of claims: made once at start, from the registry's schema ids."""

from dataclasses import dataclass

from schemas.topics import PAYMENT_COMPLETED
from serdes.codecs import Codecs, made, read_from
from serdes.decoding import TopicDecoder
from state.records.commands import CommandEncoders


@dataclass(frozen=True, slots=True)
class ClaimCodecs(Codecs):
    """Codecs by the role they play.

    records:  bytes of payment-completed to records; learns other ids while it is used.
    commands: values of section-commands, by which sections are told.
    """

    records: TopicDecoder = read_from(PAYMENT_COMPLETED)
    commands: CommandEncoders = made(CommandEncoders)
