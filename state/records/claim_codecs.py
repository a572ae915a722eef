"""Every decoder and encoder of claims: made once at start, from the registry's schema ids."""

from dataclasses import dataclass

from schemas.topics import PAYMENT_COMPLETED
from serdes.decoding import TopicDecoder
from serdes.registry.ids import SchemaIds
from state.records.commands import CommandEncoders


@dataclass(frozen=True, slots=True)
class ClaimCodecs:
    """Codecs by the role they play.

    records:  bytes of payment-completed to records; learns other ids while it is used.
    commands: values of section-commands, by which sections are told.
    """

    records: TopicDecoder
    commands: CommandEncoders

    @classmethod
    def of(cls, ids: SchemaIds) -> "ClaimCodecs":
        """Return the codecs that write these ids."""
        return cls(TopicDecoder(PAYMENT_COMPLETED, ids), CommandEncoders(ids))
