from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import EVENTS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from serdes.schema_source import SchemaSource
from state.views.following.unknown_ids import ASK_AGAIN_NS, ASKED_MAX, UnknownIds


class Source(SchemaSource):
    """A registry that knows none of the ids; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def learn(self, _: TopicDecoder, schema_id: int) -> bool:
        self.asked.append(schema_id)
        return False


def asking() -> tuple[UnknownIds, Source, Callable[[int], None]]:
    """Return what asks, whom it asks, and what moves the clock on by so many ns."""
    now_ns = [5]

    def pass_by(ns: int) -> None:
        now_ns[0] += ns

    source = Source()
    decoder = TopicDecoder(EVENTS, counted_ids())
    return UnknownIds(source, decoder, lambda: now_ns[0]), source, pass_by


def test_an_id_is_asked_about_again_after_a_while_only() -> None:
    unknown, source, pass_by = asking()
    for _ in range(2):
        unknown.learn(7)
        pass_by(ASK_AGAIN_NS - 1)
        unknown.learn(7)
        pass_by(1)
    assert source.asked == [7, 7]


def test_a1_ids_of_strangers_take_bounded_memory_and_a_bounded_number_of_questions() -> None:
    unknown, source, pass_by = asking()
    for _ in range(3):
        for schema_id in range(1, 10 * ASKED_MAX):
            unknown.learn(schema_id)
    assert len(unknown) == len(source.asked) == ASKED_MAX
    # And who was not asked about then is later.
    pass_by(ASK_AGAIN_NS)
    unknown.learn(9 * ASKED_MAX)
    assert source.asked[-1] == 9 * ASKED_MAX
    assert len(unknown) == 1


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, ASK_AGAIN_NS)), max_size=30))
def test_no_id_is_asked_about_twice_within_the_time_and_each_is_after_it(
    calls: list[tuple[int, int]],
) -> None:
    unknown, source, pass_by = asking()
    now_ns, asked_ns = 0, dict[int, int]()
    for schema_id, apart_ns in calls:
        pass_by(apart_ns)
        now_ns += apart_ns
        before = len(source.asked)
        unknown.learn(schema_id)
        is_due = now_ns - asked_ns.get(schema_id, -ASK_AGAIN_NS) >= ASK_AGAIN_NS
        assert (len(source.asked) > before) == is_due
        if is_due:
            asked_ns[schema_id] = now_ns
