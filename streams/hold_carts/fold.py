"""One batch of cart-commands being folded: what every decision about a cart needs at hand."""

from __future__ import annotations

from typing import Final

from schemas.topics import SECTION_COMMANDS
from state.domain.carts.cart import Ask, Cart, CartStatus, Part, given_up
from state.domain.keys import CART, PROGRESS_KEY, part_id, section_key
from state.records.cart_codecs import CartCodecs
from state.records.carts import CARTS, cart_of
from streams.batch import Batch, State
from streams.folding.fold import Fold

TELL_AGAIN_MS: Final = 60_000
"""So long a section is waited for, before it is asked once more; at first.

The pause doubles, up to an hour: it grows with the time since the cart came to its status, or
since the hold should have been over. A section that is slow has the question in its log; but
brokers lose records, and operators pass over such commands. Whoever is told twice answers twice.
"""

TELL_AGAIN_MS_MAX: Final = 3_600_000
UNDECIDED_MS: Final = 900_000
"""After this time a hold that kills each worker that looks at it is not waited for any more."""


class CartFold(Fold):
    """One batch of cart-commands being folded into its partition.

    section_commands: name of the topic by which sections are asked.
    """

    tick_name = CARTS + "CartTick"
    progress_key = PROGRESS_KEY

    __slots__ = ("codecs", "section_commands")

    def __init__(
        self,
        codecs: CartCodecs,
        batch: Batch,
        state: State,
        log_time_ms: int,
        section_commands: str = SECTION_COMMANDS.name,
    ) -> None:
        super().__init__(codecs.records, batch, state, log_time_ms)
        self.codecs = codecs
        self.section_commands = section_commands

    def change(self, cart_id: bytes, before: Cart | None, after: Cart) -> None:
        """Store what has become of a cart, and ask its sections what they were not asked yet."""
        is_extended = before is not None and before.extension != after.extension
        for number, part in enumerate(after.parts):
            known = Ask.NOTHING if before is None else before.parts[number].asked
            if part.asked != known:
                self.ask(cart_id, after, number, Ask(part.asked))
            if is_extended and part.is_extending:
                self._extend(cart_id, after, number)
        if before is None or before.status != after.status:
            self.count("CART_" + CartStatus(after.status).name)
        self.store(cart_id, after._replace(applied_offset=self.offset))

    def store(self, cart_id: bytes, cart: Cart) -> None:
        """Store a cart, with the time at which a section is asked again."""
        self.put(CART + cart_id, self.codecs.stored(cart), _due_ms(cart, self.log_time_ms))

    def ask(self, cart_id: bytes, cart: Cart, number: int, ask: Ask) -> None:
        """Send the section of a part what it is asked; nothing for NOTHING."""
        part, commands = cart.parts[number], self.codecs.commands
        identity = self._identity(cart_id, cart, number, cart.correlation_id)
        match ask:
            case Ask.HOLD if part.chosen:
                self._send(cart, part, commands.hold_chosen(identity, part.chosen))
            case Ask.HOLD:
                self._send(cart, part, commands.hold_best(identity, part.seat_count))
            case Ask.RELEASE:
                self._send(cart, part, commands.release(identity))

    def tell_again(self) -> None:
        """Ask sections once more that have not answered for too long, or whose holds are over."""
        for key, stored in self.due():
            cart_id, cart = key.removeprefix(CART), cart_of(stored)
            is_doubtful = any(part.is_doubtful for part in cart.parts)
            if is_doubtful and self.log_time_ms - cart.changed_at_ms >= UNDECIDED_MS:
                self.change(cart_id, cart, given_up(cart, self.log_time_ms))
                continue
            self.ask_again(cart_id, cart)
            self.store(cart_id, cart)

    def ask_again(self, cart_id: bytes, cart: Cart) -> None:
        """Ask again whoever has not answered, or should have told of an end by now."""
        for number, part in enumerate(cart.parts):
            is_overdue = 0 < part.over_ms <= self.log_time_ms
            # A hold that is there is not held anew: its section says how it stands.
            ask = Ask(part.asked) or (Ask.HOLD if is_overdue else Ask.NOTHING)
            if ask:
                self.ask(cart_id, cart, number, ask)
            elif part.is_extending:
                self._extend(cart_id, cart, number)
            else:
                continue
            self.count("ASKED_AGAIN")

    def _extend(self, cart_id: bytes, cart: Cart, number: int) -> None:
        part = cart.parts[number]
        identity = self._identity(cart_id, cart, number, cart.extension)
        self._send(cart, part, self.codecs.commands.extend(identity, part.standing.epoch))

    def _identity(self, cart_id: bytes, cart: Cart, number: int, correlation: bytes) -> bytes:
        return self.codecs.commands.identity(
            part_id(cart_id, number).decode(),
            cart.user_id.decode(),
            cart.parts[number].section.decode(),
            cart.event_id,
            correlation.decode(),
        )

    def _send(self, cart: Cart, part: Part, value: bytes) -> None:
        key = section_key(cart.event_id, part.section.decode())
        self.effects.to(self.section_commands).append((key, value))


def _due_ms(cart: Cart, now_ms: int) -> int:
    """Return when some section is asked again, Unix ms; 0 for never.

    Counted from when the waiting began, so that no record about the cart puts it off.
    """
    due = [_next_look_ms(part.over_ms, now_ms) for part in cart.parts if part.over_ms]
    if cart.is_waiting:
        due.append(_next_look_ms(cart.changed_at_ms, now_ms))
    if any(part.is_extending and part.over_ms > now_ms for part in cart.parts):
        # Without growing pauses: a hold is soon over, and then asked about as such.
        due.append(now_ms + TELL_AGAIN_MS - (now_ms - cart.changed_at_ms) % TELL_AGAIN_MS)
    return min(due, default=0)


def _next_look_ms(since_ms: int, now_ms: int) -> int:
    """Return the first time after now that lies 1, 2, 4, .. pauses behind `since_ms`."""
    waited_ms, pause_ms = now_ms - since_ms, TELL_AGAIN_MS
    while pause_ms <= waited_ms and pause_ms < TELL_AGAIN_MS_MAX:
        pause_ms *= 2
    if pause_ms > TELL_AGAIN_MS_MAX:
        pause_ms = (max(waited_ms, 0) // TELL_AGAIN_MS_MAX + 1) * TELL_AGAIN_MS_MAX
    return since_ms + pause_ms
