"""Makes one call, tells its circuit how it ended, and has its answer appended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from infra.process import spans
from infra.process.breaker import Phase
from infra.process.record_ids import correlation_in
from streams.intents import Answer, NotDone, Result
from streams.runtime.outside.bulkhead import Bulkhead, Call
from streams.runtime.outside.telling import Telling, said
from streams.runtime.process.observer import Observer

CANCELLED_S: Final = 5.0
"""How long a cancelled call, or the close of a route's performers, may take to end."""


@dataclass(slots=True)
class Calling:
    """What becomes of the calls of all bulkheads.

    reached: called at each step where a test may stop the worker.
    wake:    called when a circuit may have changed, though no call has ended.
    shown:   the phase that the metrics have of each destination's circuit.
    failed:  how the last call to each destination failed that was judged.
    """

    bulkheads: Sequence[Bulkhead]
    telling: Telling
    observer: Observer
    _: KW_ONLY
    reached: Callable[[str], None]
    wake: Callable[[], None]
    shown: dict[str, Phase] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    async def perform(self, call: Call) -> None:
        """Make a call, and append its answer."""
        intent, bulkhead = call.intent, call.bulkhead
        assert call.period is not None
        if not self.telling.can_be_told(call):
            return
        self.reached("call_begun")
        began = time.perf_counter()
        result, payload, detail, wait_ms = Result.ANSWERED, b"", "", 0
        limit_s = intent.call_ms / 1000
        limit = asyncio.timeout(limit_s)
        overrun = asyncio.get_running_loop().call_later(
            limit_s + CANCELLED_S, self._overruns, call
        )
        try:
            async with limit:
                payload = await bulkhead.performer(intent)
        except asyncio.CancelledError:
            if call.box.is_closed:
                raise
            result, detail = Result.FAILED, "cancelled by the performer"
        except NotDone as error:
            result, detail, wait_ms = Result.NOT_DONE, said(error), error.wait_ms
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, the handler hears of it)
            # Also of an exit: at every owner the same call would else end the worker again.
            if isinstance(error, TimeoutError) and limit.expired():
                result, detail = Result.TIMED_OUT, f"no answer within {intent.call_ms} ms"
            else:
                result, detail = Result.FAILED, said(error)
        finally:
            overrun.cancel()
        self._judge(call, "" if result is Result.ANSWERED else f"{result}: {detail}")
        took_s = time.perf_counter() - began
        self.observer.called(bulkhead.destination, result, took_s)
        _tell_span(call, result, took_s)
        self.reached("call_answered")
        await self.telling.tell(
            call, Answer(result=result, payload=payload, detail=detail, wait_ms=wait_ms)
        )

    def _overruns(self, call: Call) -> None:
        """Count a call that goes on though it was cancelled as failed, so no circuit waits for it.

        Until the call ends it takes its place in the bulkhead, and its intent stays open.
        """
        self.observer.log.error(
            "%s: the call of intent %s goes on though its time is over and it was cancelled. It "
            "counts as failed, and takes a place of its destination until it ends",
            call.bulkhead.destination,
            call.intent.id,
        )
        self._judge(call, "the call goes on though its time is over")
        self.wake()

    def _judge(self, call: Call, failure: str) -> None:
        """Tell the circuit, once, how a call ended; failure: empty where it ended well."""
        assert call.period is not None
        if call.is_judged:
            return
        call.is_judged = True
        if not failure:
            call.bulkhead.breaker.succeeded(call.period)
        else:
            self.failed[call.bulkhead.destination] = failure
            call.bulkhead.breaker.failed(call.period, monotonic_ms())
        self.show_circuit(call.bulkhead)

    async def leave_alone(self, call: Call) -> None:
        """Append the answer that no call is made while the circuit is open."""
        wait_ms = max(0, call.bulkhead.breaker.reopens_ms - monotonic_ms())
        self.observer.called(call.bulkhead.destination, Result.NOT_TRIED, None)
        detail = f"{call.bulkhead.destination} failed too often, and is left alone"
        await self.telling.tell(
            call, Answer(result=Result.NOT_TRIED, detail=detail, wait_ms=wait_ms)
        )

    def show_circuit(self, bulkhead: Bulkhead) -> None:
        """Show the phase of a destination's circuit where it has changed."""
        # Destinations of several routes may have the same name. The metric shows the worst phase.
        phase = max(
            (
                one.breaker.phase
                for one in self.bulkheads
                if one.destination == bulkhead.destination
            ),
            key=lambda one: one.value,
        )
        if self.shown.get(bulkhead.destination) is not phase:
            self.shown[bulkhead.destination] = phase
            why = self.failed.get(bulkhead.destination, "")
            self.observer.circuit(bulkhead.destination, phase.name, phase.value, why)


def _tell_span(call: Call, result: Result, took_s: float) -> None:
    spans.tell(
        f"call {call.bulkhead.destination}",
        spans.Kind.CLIENT,
        correlation_in(call.intent.trace).traceparent,
        took_s,
        (("seatstream.intent", call.intent.id), ("seatstream.result", result)),
        is_error=result is not Result.ANSWERED,
    )


def monotonic_ms() -> int:
    """Return a time that never goes back, for circuits."""
    return int(time.monotonic() * 1000)
