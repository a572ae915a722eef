"""When a purchase asks its gateway, and how long it waits."""

from state.domain.purchases.questions import (
    ASK_RETRIES,
    LATE_RETRIES,
    WAIT_MS_MAX,
    WAIT_RETRIES,
    ask,
    give_back,
    look_for_money,
    pause_ms,
    without_question,
)
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Answer, Asking, Heard, Purchase, Question

NOW, DEADLINE = 1_000_000, 1_900_000
NEW = Purchase(12_500, b"EUR", DEADLINE, PurchaseStatus.PENDING)


def waits(wait_ms: int) -> Answer:
    return Answer(1, Heard.OPEN, wait_ms=wait_ms)


def test_pauses_double_up_to_the_longest() -> None:
    assert [ASK_RETRIES.pause_ms(tries) for tries in (1, 2, 3, 6, 90)] == [
        1_000,
        2_000,
        4_000,
        30_000,
        30_000,
    ]


def test_all_late_tries_together_are_a_little_more_than_an_hour() -> None:
    late_ms = sum(LATE_RETRIES.pause_ms(tries) for tries in range(1, LATE_RETRIES.most + 1))
    assert 3_600_000 < late_ms < 1.5 * 3_600_000
    day_ms = sum(WAIT_RETRIES.pause_ms(tries) for tries in range(1, WAIT_RETRIES.most + 1))
    assert 0.9 < day_ms / 86_400_000 < 1.1


def test_a_gateway_may_ask_for_a_longer_pause_and_for_no_shorter_one() -> None:
    assert pause_ms(ASK_RETRIES, 2, waits(0)) == 2_000
    assert pause_ms(ASK_RETRIES, 2, waits(5_000)) == 5_000
    assert pause_ms(ASK_RETRIES, 2, waits(86_400_000)) == WAIT_MS_MAX


def test_questions_are_counted_and_only_a_charge_ends_at_the_deadline() -> None:
    charged = ask(NEW, Question.CHARGE, NOW)
    assert charged.asking == Asking(Question.CHARGE, 1, NOW, DEADLINE)
    verified = ask(charged, Question.VERIFY, NOW + 1)
    assert verified.asking == Asking(Question.VERIFY, 2, NOW + 1)
    assert without_question(verified) == NEW._replace(asked=2)
    refunded = give_back(verified._replace(tries=7, overtime=3), NOW)
    assert refunded == ask(verified, Question.REFUND, NOW)


def test_a_look_waits_for_a_question_under_way_and_replaces_one_that_is_due_later() -> None:
    charged = ask(NEW, Question.CHARGE, NOW)
    assert look_for_money(charged, NOW) == charged._replace(is_hinted=True)
    later = ask(NEW._replace(tries=2), Question.CHARGE, NOW + 9_000)
    assert look_for_money(later, NOW) == ask(later._replace(tries=1), Question.VERIFY, NOW)
    assert look_for_money(NEW, NOW) == ask(NEW, Question.VERIFY, NOW)
