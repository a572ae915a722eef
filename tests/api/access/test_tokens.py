"""Keys come from a file or over https, are read again, and outlive a source that is gone."""

import asyncio
import json
from pathlib import Path

import pytest
from support.pages.tokens import jwks, write_jwks
from support.pods.conditions import until

from api.access import tokens
from api.access.tokens import KeySet, KeysUnavailable, may_ask, read


def test_a_file_is_read_and_a_missing_one_refused(tmp_path: Path) -> None:
    async def go() -> None:
        keys = KeySet(str(write_jwks(tmp_path)))
        await keys.start()
        assert set(keys.keys) == {"ed", "ec", "rsa"}
        await keys.close()
        with pytest.raises(KeysUnavailable):
            await KeySet(str(tmp_path / "missing.json")).start()

    asyncio.run(go())


def test_changed_keys_count_and_broken_ones_leave_what_was(tmp_path: Path) -> None:
    async def go() -> None:
        path = write_jwks(tmp_path)
        keys = KeySet(str(path))
        await keys.reload()
        assert keys.generation == 1
        await keys.reload()
        assert keys.generation == 1
        path.write_bytes(json.dumps({"keys": json.loads(jwks())["keys"][:1]}).encode())
        await keys.reload()
        assert (set(keys.keys), keys.generation) == ({"ed"}, 2)
        path.write_bytes(b"{")
        with pytest.raises(KeysUnavailable):
            await keys.reload()
        assert set(keys.keys) == {"ed"}

    asyncio.run(go())


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://login.example/jwks", True),
        ("http://127.0.0.1:8080/jwks", True),
        ("http://localhost/jwks", True),
        ("http://[::1]/jwks", True),
        ("http://login.example/jwks", False),
        ("http://127.0.0.1.login.example/jwks", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/jwks", False),
    ],
)
def test_keys_are_not_taken_where_somebody_could_change_them(address: str, may: bool) -> None:
    assert may_ask(address) is may


def test_an_address_that_does_not_answer_yet_is_asked_again() -> None:
    async def go() -> None:
        keys = KeySet("http://127.0.0.1:1/jwks")
        await keys.start()
        assert not keys.keys
        await keys.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 100_000,
        b'{"keys": ' + b"[" * 100_000,
        b'{"keys": {"0": {}}}',
        b" " * (1 << 20) + b"1",
    ],
    ids=["deep", "deep keys", "no list", "large"],
)
def test_d2_a_document_of_any_kind_leaves_the_keys_that_were(
    tmp_path: Path, document: bytes
) -> None:
    async def go() -> None:
        path = write_jwks(tmp_path)
        keys = KeySet(str(path))
        await keys.reload()
        path.write_bytes(document)
        with pytest.raises(KeysUnavailable):
            await keys.reload()
        assert set(keys.keys) == {"ed", "ec", "rsa"}

    asyncio.run(go())


def test_d2_a_set_without_a_usable_key_refuses_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    for entries in ([], [None], [{"kty": "oct", "k": "c2VjcmV0"}]):
        path.write_text(json.dumps({"keys": entries}))
        with pytest.raises(KeysUnavailable, match="no usable key"):
            asyncio.run(KeySet(str(path)).start())


def test_whatever_keeps_keys_from_being_read_they_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        path = write_jwks(tmp_path)
        keys = KeySet(str(path))
        await keys.start()
        asked = []

        def fails_at_first(source: str) -> bytes:
            asked.append(source)
            if len(asked) == 1:
                raise RuntimeError("a mistake of ours")
            return read(source)

        monkeypatch.setattr(tokens, "read", fails_at_first)
        path.write_bytes(json.dumps({"keys": json.loads(jwks())["keys"][:1]}).encode())
        await until(lambda: set(keys.keys) == {"ed"})
        await keys.close()

    monkeypatch.setattr(tokens, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(tokens, "RELOAD_S", 0.01)
    asyncio.run(go())
    assert "a mistake of ours" in caplog.text
