"""Tells a route's handler what became of the calls for its intents, as records on its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from serdes.wire import VALUE_BYTES_MAX
from streams.intents import DETAIL_MAX, Answer, Intent, Result
from streams.route import Route
from streams.runtime.outside.answers import AnswerLog, AnswerTooLarge
from streams.runtime.outside.bulkhead import Call
from streams.runtime.process.observer import Observer

_NOTHING_DONE: Final = frozenset({Result.NOT_TRIED, Result.NOT_DONE})


class Untold(Exception):
    """A route's `answer` did not make a record of an intent's answer.

    Operator action: if the log has this once for an intent, none: its handler has heard FAILED. If
    it has it twice, the intent stays open and counts as stranded. Ask its destination what became
    of the intent, and report the exception, since the code of the route is wrong.
    """


class Telling:
    """Appends the answers of one worker's calls."""

    def __init__(
        self,
        answers: AnswerLog,
        observer: Observer,
        *,
        reached: Callable[[str], None],
        stranded: Callable[[], None],
    ) -> None:
        """Prepare to tell.

        reached:  called at each step where a test may stop the worker.
        stranded: called when nobody can be told of an intent, which stays open.
        """
        self._answers = answers
        self._observer = observer
        self._reached = reached
        self._stranded = stranded

    def can_be_told(self, call: Call) -> bool:
        """Say whether an answer to an intent can be told. If not, nobody is called for it.

        Else its destination would be called once at every take-over, and nobody hear of it.
        """
        try:
            _record_of(call.box.partition.route, call.intent, Answer(result=Result.FAILED))
        except (AnswerTooLarge, Untold) as error:
            self._strand(call, error, "No call is made for it")
            return False
        return True

    async def tell(self, call: Call, answer: Answer) -> None:
        """Append an answer, or a failure where the route cannot make a record of it."""
        may_have_run = (
            answer.result not in _NOTHING_DONE
            or call.intent.may_have_run
            or not call.entry.is_fresh
        )
        answer = replace(answer, detail=answer.detail[:DETAIL_MAX], may_have_run=may_have_run)
        try:
            await self._append(call, answer)
        except (AnswerTooLarge, Untold) as error:
            self._observer.log.error("%s: %s", call.box.partition.place, error)  # noqa: TRY400
            failed = replace(
                answer, result=Result.FAILED, payload=b"", detail=said(error)[:DETAIL_MAX]
            )
            await self._append_if_it_can_be_told(call, failed)

    async def _append_if_it_can_be_told(self, call: Call, failed: Answer) -> None:
        """Append a failure. If that fails too, log it: no other intent is concerned."""
        try:
            await self._append(call, failed)
        except (AnswerTooLarge, Untold) as error:
            is_called = call.period is not None
            what = f"ask {call.intent.destination} what became of its call"
            self._strand(call, error, what if is_called else "No call was made for it")

    def _strand(self, call: Call, error: Exception, what: str) -> None:
        """Show an intent that stays open, because nobody can be told of it."""
        call.box.untold[call.intent.id] = call.bulkhead.destination
        self._observer.log.error(
            "%s: %s. The intent stays open, and its handler is told nothing: mend `answer` of its "
            "route. %s",
            call.box.partition.place,
            error,
            what,
        )
        self._stranded()

    async def _append(self, call: Call, answer: Answer) -> None:
        partition = call.box.partition
        if call.box.is_closed:
            return
        key, value = _record_of(partition.route, call.intent, answer)
        offset = await self._answers.append(
            partition.topic, partition.number, key, value, call.intent.trace
        )
        call.box.answered(call.bulkhead.destination, offset)
        self._reached("answer_appended")


def said(error: BaseException) -> str:
    """Return the text of an error, in a form that can surely be encoded."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  (an error whose own text fails)
        text = type(error).__name__
    return text.encode(errors="replace").decode()


def _record_of(route: Route, intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
    """Return key and value of the record of an answer.

    Raises Untold where the route makes none, AnswerTooLarge where no reader would take the record.
    """
    assert route.answer is not None
    try:
        key, value = route.answer(intent, answer)
        # A key or value that is not of bytes raises here.
        size = max(len(b"" + (key or b"")), len(b"" + value))
    except Exception as error:
        message = f"the answer to intent {intent.id} cannot be told: {said(error)}"
        raise Untold(message) from error
    if size > VALUE_BYTES_MAX:
        message = (
            f"the answer to intent {intent.id} takes {size} bytes, the limit is {VALUE_BYTES_MAX}"
        )
        raise AnswerTooLarge(message)
    return key, value
