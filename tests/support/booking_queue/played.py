"""What may be asked of a queue in a log, and how long nobody asks: played by its clock."""

from hypothesis import strategies as st

from state.domain.booking_queue.figures import DEAD_MS, ITEM_MS, KEPT_MS, LEASE_MS
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.queue import Taken
from state.domain.booking_queue.statuses import DeadReason
from state.views.booking_queue.queue import KafkaBookingQueue

EVENT = 7
TIMES_MS = (1, 5_000, 10_000, 20_000, LEASE_MS, LEASE_MS + 1, ITEM_MS, KEPT_MS, DEAD_MS)


class Clock:
    """Of a log, or of a pod."""

    def __init__(self, ms: int = 1_900_000_000_000) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


ops = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["enqueue", "cancel"]), st.integers(0, 8)),
        st.tuples(
            st.sampled_from(["take", "complete", "fail", "fail for good", "clean", "requeue"]),
            st.integers(0, 2),
        ),
        st.tuples(st.just("time"), st.sampled_from(TIMES_MS)),
    ),
    min_size=10,
    max_size=60,
)


async def played(queue: KafkaBookingQueue, clock: Clock, told: list[tuple[str, int]]) -> None:
    event, taken = EVENT, list[Taken]()
    for name, number in told:
        item = item_id(f"u-{number}", "k", event)
        match name:
            case "enqueue":
                await queue.enqueue(event, f"u-{number}", "k", b"{}")
            case "cancel":
                await queue.cancel(item, f"u-{number}")
            case "take" if (one := await queue.take(event)) is not None:
                taken.append(one)
            case "complete" if taken:
                await queue.complete(taken[-1 - number % len(taken)], b"held")
            case "fail" | "fail for good" if taken:
                which = taken[-1 - number % len(taken)]
                await queue.fail(which, DeadReason.UNKNOWN, is_final=name != "fail")
            case "clean":
                await queue.clean(event)
            case "requeue":
                for dead in await queue.dead(event, 1):
                    await queue.requeue(dead)
            case "time":
                clock.ms += number
