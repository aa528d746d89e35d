"""The tokens that stand for pictures and recordings."""

from universal_gguf.generation.media import ids_of

PICTURE = ids_of(b"a picture", 6)
OTHER = ids_of(b"another", 6)


def test_ids_come_from_the_content() -> None:
    assert ids_of(b"a picture", 6) == PICTURE != OTHER
    assert all(-(2**31) <= token < 0 for token in PICTURE)
    assert len({*ids_of(b"large", 1000)}) == 1000
