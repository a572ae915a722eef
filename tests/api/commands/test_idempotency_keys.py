import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.commands.idempotency_keys import IdempotencyKey

KEY: TypeAdapter[str] = TypeAdapter(IdempotencyKey)

printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
keys = st.text(printable, min_size=1, max_size=255)


def quoted(key: str) -> str:
    """Return a key as RFC 8941 writes a string."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(keys)
def test_f3_both_forms_of_a_key_are_one_key(key: str) -> None:
    assert KEY.validate_python(quoted(key)) == key
    if not key.startswith('"'):
        assert KEY.validate_python(key) == key


@given(st.text(max_size=300))
def test_f3_no_text_is_anything_but_a_key_or_refused(text: str) -> None:
    try:
        key = KEY.validate_python(text)
    except ValidationError:
        return
    assert 1 <= len(key) <= 255
    assert key.isascii()
    assert key.isprintable()
    assert text in {key, quoted(key)}


@pytest.mark.parametrize(
    ("given_key", "key"),
    [
        ("k1", "k1"),
        ('"k1"', "k1"),
        (r'"a\"b\\c"', r'a"b\c'),
        (r"a\b", r"a\b"),
        ('a"b"', 'a"b"'),
        ('" "', " "),
        ('"a;b, c"', "a;b, c"),
        # The limit is that of the key; quotes and backslashes are not in it.
        (quoted('"' * 255), '"' * 255),
    ],
)
def test_f3_a_quoted_key_is_what_stands_between_its_quotes(given_key: str, key: str) -> None:
    assert KEY.validate_python(given_key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        '"',
        '""',
        '"a',
        '"a"b',
        '"a";x=1',
        '"a", "b"',
        r'"a\b"',
        '"a\\"',
        "k" * 256,
        quoted("k" * 256),
        "a\tb",
        "k\n",
        '"k"\n',
        "k\x7f",
        "ké",
        "k\uff11",
    ],
)
def test_f3_a_key_that_is_neither_plain_nor_quoted_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        KEY.validate_python(key)


def test_f3_a_broken_quoted_string_is_called_so() -> None:
    with pytest.raises(ValidationError, match="begins with a quote and is no quoted string"):
        KEY.validate_python('"a')
