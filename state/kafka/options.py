"""Options of a client of librdkafka, as `KafkaSecurity.librdkafka` gives them."""

from collections.abc import Mapping
from typing import Final, Never

KafkaOptions = Mapping[str, str | int | float | bool]

# `Never`: nothing is in it, so that it also serves where all options are text.
NO_OPTIONS: Final[Mapping[str, Never]] = {}
