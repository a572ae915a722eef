"""A snapshot is read as it was written, or not at all."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.replaying.snapshots import Head, NoSnapshot, Part, opened, write

HEAD = Head("cluster-1", 2, verified=True)
PARTS = [Part(0, 7, 9, {b"s1-A": (b"\x00\xff", 0), b"rx": (b"", 5)}), Part(1, 0, 0, {})]


def read(path: Path) -> tuple[Head, list[Part]]:
    with opened(path) as (head, parts):
        return head, list(parts)


@given(
    said=st.lists(
        st.tuples(
            st.integers(0, 2**60),
            st.integers(0, 2**60),
            st.dictionaries(st.binary(), st.tuples(st.binary(), st.integers(0, 2**47))),
        ),
        max_size=4,
    ),
    verified=st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    said: list[tuple[int, int, dict[bytes, tuple[bytes, int]]]],
    verified: bool,
) -> None:
    path = tmp_path_factory.mktemp("kept") / "one"
    head = Head("c", len(said), verified)
    parts = [Part(number, *one) for number, one in enumerate(said)]
    write(path, head, parts)
    assert read(path) == (head, parts)
    assert [one.name for one in path.parent.iterdir()] == ["one"]


def test_a_snapshot_without_its_last_byte_is_none(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write(path, HEAD, PARTS)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    with pytest.raises(NoSnapshot):
        read(path)


@given(data=st.data())
def test_a_snapshot_that_was_cut_or_altered_is_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("kept") / "one"
    write(path, HEAD, PARTS)
    content = gzip.decompress(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        wrong = content[:at]
    else:
        wrong = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    path.write_bytes(gzip.compress(wrong))
    with pytest.raises(NoSnapshot):
        read(path)


@pytest.mark.parametrize(
    "content",
    # Without the time: each process must have the same tests.
    [b"", b"junk", gzip.compress(b"{}", mtime=0), gzip.compress(b"[]\n", mtime=0)],
)
def test_anything_else_is_no_snapshot(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(content)
    with pytest.raises(NoSnapshot, match="one"):
        read(path)


def test_whoever_is_stopped_while_writing_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write(path, HEAD, PARTS)

    def stopped() -> object:
        yield PARTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, HEAD._replace(cluster="other"), stopped())  # type: ignore[arg-type]
    assert read(path) == (HEAD, PARTS)
    assert [one.name for one in tmp_path.iterdir()] == ["one"]
