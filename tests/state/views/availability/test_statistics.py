from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import EVENT, Fed

from state.views.availability.statistics import SAMPLE_NS, SAMPLES, ViewCounters

MINUTE_NS = 60 * SAMPLE_NS


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * SAMPLE_NS), st.booleans() | st.none()),
        max_size=200,
    )
)
def test_the_miss_share_is_that_of_the_last_minute_or_of_all_where_that_is_less(
    told: list[tuple[int, bool | None]],
) -> None:
    """What happens: time passes, and somebody misses, hits, or a heartbeat is answered."""
    counters, now_ns = ViewCounters(), SAMPLE_NS
    asked: list[bool] = []
    # Look-ups there had been at each sample, the one before all of them included.
    sampled = [(0, 0)]
    for passed_ns, is_miss in told:
        now_ns += passed_ns
        if is_miss is None:
            counters.sample(now_ns)
            if now_ns - sampled[-1][0] >= SAMPLE_NS:
                sampled.append((now_ns, len(asked)))
        else:
            asked.append(is_miss)
            counters.lookups += 1
            counters.misses += is_miss
        since = asked[sampled[-SAMPLES:][0][1] :]
        assert counters.miss_share() == sum(since) / max(1, len(since))


def test_samples_are_a_second_apart_and_reach_back_a_minute() -> None:
    counters = ViewCounters()
    for tenth in range(1, 1_000):
        counters.sample(tenth * SAMPLE_NS // 10)
    clocks = [clock for clock, _, _ in counters.samples]
    assert clocks[-1] - clocks[0] == MINUTE_NS
    assert {later - clock for clock, later in pairwise(clocks)} == {SAMPLE_NS}


def test_where_nobody_asked_nothing_was_missed() -> None:
    assert ViewCounters().miss_share() == 0


def test_the_miss_share_forgets_what_is_older_than_a_minute(fed: Fed) -> None:
    fed.view.get(EVENT, "Z")
    for _ in range(100):
        fed.now_ms += 1_000
        fed.heartbeat()
        fed.view.get(EVENT, "A")
    assert fed.view.statistics().miss_share == 0
