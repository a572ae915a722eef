"""Numbers of events for tests that share a Redis: each of a test process is given once."""

from itertools import count

EVENTS = count(1_000_000)
