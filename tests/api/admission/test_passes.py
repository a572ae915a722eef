"""A proof counts for its user, event, kind and time, where one of our keys has signed it (B77)."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm
from support.waiting.keys import KEY, OLD, STRANGER, passes

from api.admission.passes import (
    ENTRY,
    PASS_BYTES_MAX,
    QUEUE,
    QUEUE_S,
    KeysUnusable,
    NotProved,
    Passes,
)
from state.domain.waiting.admission import TURN_MAX, USER_BYTES_MAX

NOW_S = 1_900_000_000
events = st.integers(0, 2**63 - 1)
turns = st.integers(1, TURN_MAX)
users = st.text(min_size=1, max_size=16).filter(str.isprintable)


def claims(**changes: Any) -> dict[str, Any]:
    good = {"aud": QUEUE, "sub": "ann", "event": 7, "turn": 5, "exp": NOW_S + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = KEY, kid: str = "new", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm="EdDSA", headers={"kid": kid})


def refused(text: str, audience: str = QUEUE, event: int = 7, user: str = "ann") -> bool:
    with pytest.raises(NotProved):
        passes().turn_in(text, audience, event, user)
    return True


@given(events, users, turns)
def test_a_proof_proves_what_it_was_made_for(event: int, user: str, turn: int) -> None:
    made = passes()
    assert made.turn_in(made.queue(event, user, turn), QUEUE, event, user) == turn
    entry = made.entry(event, user, turn, 1000 * NOW_S + 60_000)
    assert made.turn_in(entry, ENTRY, event, user) == turn
    assert len(made.queue(event, user, turn)) <= PASS_BYTES_MAX


def test_the_longest_name_has_a_proof_that_is_not_too_long() -> None:
    made, user = passes(), "\U0001d4b6" * (USER_BYTES_MAX // 4)
    token = made.queue(2**63 - 1, user, TURN_MAX)
    assert made.turn_in(token, QUEUE, 2**63 - 1, user) == TURN_MAX


@pytest.mark.parametrize(
    "text",
    [
        signed(STRANGER),
        signed(STRANGER, kid="stranger"),
        signed(aud=ENTRY),
        signed(aud="seatstream"),
        signed(sub="ben"),
        signed(sub=None),
        signed(event=8),
        signed(event="7"),
        signed(event=None),
        signed(turn=0),
        signed(turn=-1),
        signed(turn=TURN_MAX + 1),
        signed(turn=5.0),
        signed(turn=True),
        signed(turn=None),
        signed(exp=NOW_S),
        signed(exp=None),
        signed()[:-1],
        signed()[: len(signed()) // 2],
        signed() + "A",
        signed().replace(".", "..", 1),
        jwt.encode(claims(), "secret" * 8, algorithm="HS256", headers={"kid": "new"}),
        jwt.encode(claims(), "", algorithm="none"),
        "",
        "a.b.c",
        "\ud800",
        "x" * 100_000,
    ],
)
def test_q16_b77_what_is_forged_cut_old_or_of_others_proves_nothing(text: str) -> None:
    assert refused(text)


def test_q16_a_genuine_proof_is_no_use_to_anybody_else() -> None:
    made = passes()
    queue, entry = made.queue(7, "ann", 5), made.entry(7, "ann", 5, 1000 * (NOW_S + 60))
    assert made.turn_in(queue, QUEUE, 7, "ann") == 5
    assert refused(queue, user="ben")
    assert refused(queue, event=8)
    assert refused(queue, audience=ENTRY)
    assert refused(entry, audience=QUEUE)


@given(st.data())
def test_q16_one_changed_letter_makes_it_nothing(data: st.DataObject) -> None:
    token = signed()
    at = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("AQgw_-9z"))
    # The last letter of a part has bits that mean nothing.
    if letter != token[at] and token[at] != "." and token[at + 1] != ".":
        assert refused(token[:at] + letter + token[at + 1 :])


def test_d33_a_key_that_signs_no_more_is_believed_until_it_is_taken_out() -> None:
    token = Passes({"old": OLD}, clock_s=lambda: NOW_S).queue(7, "ann", 5)
    assert passes().turn_in(token, QUEUE, 7, "ann") == 5
    with pytest.raises(NotProved):
        Passes({"new": KEY}, clock_s=lambda: NOW_S).turn_in(token, QUEUE, 7, "ann")


def test_proofs_end_with_the_room_and_with_the_admission() -> None:
    made = passes()
    queue, entry = made.queue(7, "ann", 5), made.entry(7, "ann", 5, 1000 * (NOW_S + 60))
    for text, ends_s in ((queue, NOW_S + QUEUE_S), (entry, NOW_S + 60)):
        audience = QUEUE if text is queue else ENTRY
        assert passes(ends_s - 1).turn_in(text, audience, 7, "ann") == 5
        with pytest.raises(NotProved):
            passes(ends_s).turn_in(text, audience, 7, "ann")


def test_d33_anybody_checks_a_proof_with_the_keys_that_are_shown() -> None:
    made = passes()
    keys = {one["kid"]: jwt.PyJWK(one) for one in made.jwks["keys"]}
    assert list(keys) == ["new", "old"]
    assert not any("d" in one for one in made.jwks["keys"])
    token = made.queue(7, "ann", 5)
    told = jwt.decode(
        token, keys["new"], algorithms=["EdDSA"], audience=QUEUE, options={"verify_exp": False}
    )
    assert (told["sub"], told["event"], told["turn"]) == ("ann", 7, 5)


def entry_of(key: Any, **changes: Any) -> dict[str, Any]:
    return {**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": "one", **changes}


def test_a_key_file_is_read_as_a_set_of_private_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry_of(KEY)]}), encoding="utf-8")
    made = Passes.read(path)
    assert made.turn_in(made.queue(7, "ann", 5), QUEUE, 7, "ann") == 5


@pytest.mark.parametrize(
    "document",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b'{"keys": []}',
        b'{"keys": 7}',
        b'{"keys": [7]}',
        b"[" * 100_000,
        json.dumps({"keys": [entry_of(KEY.public_key())]}).encode(),
        json.dumps({"keys": [entry_of(KEY, crv="X25519")]}).encode(),
        json.dumps({"keys": [entry_of(KEY, kty="RSA")]}).encode(),
        json.dumps({"keys": [entry_of(KEY, d=urlsafe_b64encode(b"short").decode())]}).encode(),
        json.dumps({"keys": [entry_of(KEY, d=7)]}).encode(),
        json.dumps({"keys": [entry_of(KEY, d="\u20ac")]}).encode(),
    ],
)
def test_a_key_file_that_cannot_be_used_says_which_and_nothing_of_a_key(
    tmp_path: Path, document: bytes | None
) -> None:
    path = tmp_path / "keys.json"
    if document is not None:
        path.write_bytes(document)
    with pytest.raises(KeysUnusable) as told:
        Passes.read(path)
    assert str(told.value).startswith(f"SEATSTREAM_API_ADMISSION_KEYS={path}: ")
    assert len(str(told.value)) < len(str(path)) + 80
    assert told.value.__cause__ is None
