"""The role `payments`: requests of sections in; calls to gateways and commands to sell, out."""

from streams.take_payments.contradictions import contradiction
from streams.take_payments.handler import counts, progress, refuse_poison, take_payments
from streams.take_payments.performers import GatewayPerformers
from streams.take_payments.questions import told_answers

__all__ = [
    "GatewayPerformers",
    "contradiction",
    "counts",
    "progress",
    "refuse_poison",
    "take_payments",
    "told_answers",
]
