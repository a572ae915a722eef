"""Stripe's public contract as a local server, as far as the gateway `stripe` speaks it.

Written from the public reference, apart from the gateway's code; the real Stripe was not reached.
What it keeps to: requests are forms, answers JSON; an idempotency key has its first answer for
ever, errors included, and another request under it is refused; requests that are not valid take no
key; a PaymentIntent succeeds once at most; a list knows what was charged a moment ago.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

KEY: Final = "sk_test_of_these_tests"
NOW_S: Final = 1_795_764_000
CARD: Final = "pm_card_visa"
DECLINED: Final = "pm_card_visa_chargeDeclinedInsufficientFunds"
STOLEN: Final = "pm_card_chargeDeclinedStolenCard"
NEEDS_BUYER: Final = "pm_card_authenticationRequired"
BROKEN: Final = "pm_card_charged_and_then_an_error"
SLOW_BANK: Final = "pm_usBankAccount_processing"
_DECLINES: Final = {
    DECLINED: ("card_declined", "insufficient_funds"),
    STOLEN: ("card_declined", "stolen_card"),
    NEEDS_BUYER: ("authentication_required", "authentication_required"),
}

Json = dict[str, Any]


class StripeFault(Exception):
    """An error that is answered; `is_kept` under the request's idempotency key."""

    def __init__(self, status: int, is_kept: bool = False, **error: Any) -> None:
        super().__init__(error.get("code"))
        self.status = status
        self.is_kept = is_kept
        self.body: Json = {"error": {"message": "In words, with sk_test and pm_ in it.", **error}}


def invalid(code: str, param: str, status: int = 400) -> StripeFault:
    return StripeFault(status, type="invalid_request_error", code=code, param=param)


def parsed(text: str) -> Json:
    """Return a form: `metadata[x]` as an object, `expand[0]` as a list."""
    form: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        outer, bracket, inner = name.partition("[")
        if not bracket:
            form[outer] = value
        elif inner.removesuffix("]").isdigit() or inner == "]":
            form.setdefault(outer, []).append(value)
        else:
            form.setdefault(outer, {})[inner.removesuffix("]")] = value
    return form


@dataclass
class StripeServer:
    """What is there, by id; and what is to go wrong.

    lost: answers to requests whose path ends so are lost once they are made up, so many times.
    captures_as: (amount, currency) of charges in place of what was asked for.
    """

    intents: dict[str, Json] = field(default_factory=dict)
    charges: list[Json] = field(default_factory=list)
    refunds: list[Json] = field(default_factory=list)
    asked: list[tuple[str, Json, dict[str, str]]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    captures_as: tuple[int, str] | None = None
    refunds_are: str = "succeeded"
    _answers: dict[str, tuple[object, int, Json]] = field(default_factory=dict)

    def application(self) -> web.Application:
        application = web.Application()
        for path, act in (
            ("/v1/payment_intents", self._create),
            ("/v1/payment_intents/{id}/confirm", self._confirm),
            ("/v1/refunds", self._refund),
        ):
            application.router.add_post(path, self._answering(act))
        application.router.add_get("/v1/charges", self._answering(self._list))
        return application

    def _answering(
        self, act: Callable[[Json, str], Json]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            text = request.query_string if request.method == "GET" else await request.text()
            form, key = parsed(text), request.headers.get("Idempotency-Key", "")
            self.asked.append((request.path, form, dict(request.headers)))
            status, body = self._kept(request, key, form, act)
            for ending, times in self.lost.items():
                if request.path.endswith(ending) and times:
                    self.lost[ending] -= 1
                    transport = request.transport
                    assert transport is not None
                    transport.close()
            return web.json_response(body, status=status)

        return answer

    def _kept(
        self, request: web.Request, key: str, form: Json, act: Callable[[Json, str], Json]
    ) -> tuple[int, Json]:
        asked = (request.path, form)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return 401, StripeFault(401, type="invalid_request_error").body
        if key in self._answers:
            first, status, body = self._answers[key]
            reused = StripeFault(400, type="idempotency_error")
            return (status, body) if first == asked else (400, reused.body)
        try:
            status, body, is_kept = 200, act(form, request.match_info.get("id", "")), True
        except StripeFault as fault:
            status, body, is_kept = fault.status, fault.body, fault.is_kept
        if key and is_kept:
            # As it stood: what happens later does not change it.
            self._answers[key] = (asked, status, json.loads(json.dumps(body)))
        return status, body

    def _create(self, form: Json, _id: str) -> Json:
        if not form["amount"].isdigit() or int(form["amount"]) > 99_999_999:
            raise invalid("amount_too_large", "amount")
        intent: Json = {
            "id": f"pi_{len(self.intents) + 1}",
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "confirmation_method": form["confirmation_method"],
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": form.get("metadata", {}),
            "status": "requires_payment_method",
            "transfer_group": form.get("transfer_group"),
            "client_secret": f"pi_{len(self.intents) + 1}_secret_geheim",
        }
        self.intents[intent["id"]] = intent
        return intent

    def _confirm(self, form: Json, intent_id: str) -> Json:
        intent = self.intents.get(intent_id)
        if intent is None:
            raise invalid("resource_missing", "intent", 404)
        if intent["status"] != "requires_payment_method":
            raise StripeFault(
                400,
                type="invalid_request_error",
                code="payment_intent_unexpected_state",
                payment_intent=intent,
            )
        token = form.get("payment_method") or form.get("confirmation_token", "")
        if token == BROKEN:
            self._charge(intent, "succeeded")
            raise StripeFault(500, is_kept=True, type="api_error")
        if token in _DECLINES:
            code, decline = _DECLINES[token]
            if token != NEEDS_BUYER:
                self._charge(intent, "failed", failure_code=code)
            elif form.get("error_on_requires_action") != "true":
                intent["status"] = "requires_action"
                return intent
            error = {"type": "card_error", "code": code, "decline_code": decline}
            intent["last_payment_error"] = error
            raise StripeFault(402, is_kept=True, **error, payment_intent=intent)
        if token not in {CARD, SLOW_BANK, "ctoken_visa"}:
            raise invalid("resource_missing", "payment_method")
        is_slow = token == SLOW_BANK
        intent["status"] = "processing" if is_slow else "succeeded"
        charge = self._charge(intent, "pending" if is_slow else "succeeded")
        intent["latest_charge"] = charge["id"]
        is_expanded = "latest_charge" in form.get("expand", [])
        return {**intent, "latest_charge": charge} if is_expanded else intent

    def _charge(self, intent: Json, status: str, failure_code: str | None = None) -> Json:
        amount, currency = self.captures_as or (intent["amount"], intent["currency"])
        charge: Json = {
            "id": f"ch_{len(self.charges) + 1}",
            "object": "charge",
            "amount": amount,
            "amount_captured": amount if status == "succeeded" else 0,
            "amount_refunded": 0,
            "captured": status == "succeeded",
            "created": NOW_S,
            "currency": currency,
            "failure_code": failure_code,
            "metadata": intent["metadata"],
            "payment_intent": intent["id"],
            "payment_method_details": {"type": "card", "card": {"last4": "4242"}},
            "refunded": False,
            "status": status,
            "transfer_group": intent["transfer_group"],
        }
        self.charges.insert(0, charge)
        return charge

    def forget_keys(self) -> None:
        """Let a day pass."""
        self._answers.clear()

    def settle(self, status: str) -> None:
        """Let the newest charge, which is pending, end so."""
        charge = self.charges[0]
        done = charge["amount"] if status == "succeeded" else 0
        charge.update(status=status, amount_captured=done, captured=bool(done))
        is_paid = status == "succeeded"
        state = "succeeded" if is_paid else "requires_payment_method"
        self.intents[charge["payment_intent"]]["status"] = state

    def _list(self, form: Json, _id: str) -> Json:
        found = [one for one in self.charges if one["transfer_group"] == form["transfer_group"]]
        limit = int(form["limit"])
        shown = [self._with_refunds(charge) for charge in found[:limit]]
        return {
            "object": "list",
            "data": shown,
            "has_more": len(found) > limit,
            "url": "/v1/charges",
        }

    def _with_refunds(self, charge: Json) -> Json:
        made = [one for one in self.refunds if one["charge"] == charge["id"]]
        refunds = {"object": "list", "data": made, "has_more": False, "url": "/v1/refunds"}
        return {**charge, "refunds": refunds}

    def _refund(self, form: Json, _id: str) -> Json:
        if form["payment_intent"] not in self.intents:
            raise invalid("resource_missing", "payment_intent", 404)
        paid = [one for one in self.charges if one["payment_intent"] == form["payment_intent"]]
        charge = next((one for one in paid if one["captured"]), None)
        if charge is None:
            raise invalid("payment_intent_unexpected_state", "payment_intent")
        if charge["refunded"]:
            raise StripeFault(400, type="invalid_request_error", code="charge_already_refunded")
        return self.give_back(charge, charge["amount"] - charge["amount_refunded"], form)

    def give_back(self, charge: Json, amount: int, form: Json) -> Json:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        made: Json = {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "amount": amount,
            "charge": charge["id"],
            "created": NOW_S + 60,
            "currency": charge["currency"],
            "metadata": form.get("metadata", {}),
            "payment_intent": charge["payment_intent"],
            "status": self.refunds_are,
        }
        self.refunds.insert(0, made)
        return made
