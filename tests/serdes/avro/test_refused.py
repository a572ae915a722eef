"""Refused bytes are a value for everybody but those who call a generated decoder themselves."""

from infra.paths import ROOT

PRODUCT = ("api", "infra", "schemas", "scripts", "serdes", "state", "streams")
# Where generated decoders come from: by name, or from the table by header of a topic's decoder.
SOURCES = ("from serdes.avro.codegen import", "TopicDecoder", "by_header")


def test_only_who_calls_a_generated_decoder_meets_the_error() -> None:
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
    }
    users = {
        name: text
        for name, text in texts.items()
        if "serdes.avro.refused" in text and not name.startswith("serdes/")
    }
    assert users
    assert [name for name, text in users.items() if not any(at in text for at in SOURCES)] == []
