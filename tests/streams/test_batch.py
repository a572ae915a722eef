"""The words that handlers and runtime share."""

from streams.batch import Effects, Outgoing, UnknownSchema


def test_what_is_published_keeps_its_order_for_each_topic() -> None:
    effects = Effects()
    effects.to("out").append((b"k", b"a"))
    effects.to("status").append((None, b"b"))
    effects.to("out").append(Outgoing(b"k", b"c", [("header", b"d")]))
    assert effects.outgoing == {
        "out": [(b"k", b"a"), Outgoing(b"k", b"c", [("header", b"d")])],
        "status": [(None, b"b")],
    }


def test_an_unknown_schema_names_the_first_id_and_asks_for_all_of_the_batch() -> None:
    assert str(UnknownSchema(7)) == "schema id 7"
    unknown = UnknownSchema(7, [8, 9, 7])
    assert unknown.schema_ids == {7, 8, 9}
    assert str(unknown) == "schema id 7 and 2 more"
