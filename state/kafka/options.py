"""Options of a client of librdkafka, as `KafkaSecurity.librdkafka` gives them."""

from collections.abc import Mapping

KafkaOptions = Mapping[str, str | int | float | bool]
