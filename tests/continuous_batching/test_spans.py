"""Pictures among the tokens of a sequence: where positions and tokens part, and where nothing may be cut."""

from universal_core.continuous_batching import Cache, Held, Span

PICTURE = [-7, -8, -9, -10, -11, -12]
OTHER = [-17, -18, -19, -20, -21, -22]


class Positions:
    """Notes what a cache tells its memory."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def copy(self, source: int, target: int, length: int = -1) -> None:
        self.told.append(("copy", length))

    def cut(self, sequence: int, length: int = 0) -> bool:
        self.told.append(("cut", length))
        return True

    def reaches(self, sequence: int, length: int) -> bool:
        return True


def read(cache: Cache, tokens: list[int], span: Span, place: int) -> Held:
    held = cache.begin(tokens)
    held.spans[place] = span
    cache.extend(held, tokens[len(held.tokens) :])
    return held


def test_a_picture_takes_fewer_positions_than_tokens() -> None:
    held = Held(0)
    held.spans = {2: Span(6, 3), 10: Span(4, 2)}
    assert [held.position(length) for length in (0, 2, 8, 9, 10, 14, 15)] == [0, 2, 5, 6, 7, 9, 10]


def test_nothing_ends_inside_a_picture() -> None:
    held = Held(0)
    held.spans = {2: Span(6, 3)}
    assert [held.whole(length) for length in (1, 2, 3, 7, 8, 9)] == [1, 2, 2, 2, 8, 9]


def test_a_prefix_is_shared_by_positions_and_never_in_parts() -> None:
    memory = Positions()
    cache = Cache(memory, 64, 4)
    read(cache, [1, 2, *PICTURE, 3, 4], Span(6, 3), 2)
    following = cache.begin([1, 2, *PICTURE, 3, 5, 6])
    assert memory.told.pop() == ("copy", 6)
    assert (len(following.tokens), following.spans) == (9, {2: Span(6, 3)})
    # Only reading the last token gives logits, and of a picture that is all of it.
    assert len(cache.begin([1, 2, *PICTURE]).tokens) == 2
    assert memory.told.pop() == ("copy", 2)
    assert len(cache.begin([1, 2, *OTHER, 3]).tokens) == 2
    assert cache.available == 64 - 10


def test_what_follows_a_picture_is_cut_by_positions() -> None:
    memory = Positions()
    cache = Cache(memory, 64, 4)
    held = read(cache, [1, *PICTURE, 3, 4, 5], Span(6, 2), 1)
    cache.cut(held, 8)
    assert memory.told == [("cut", 4)]
    assert cache.available == 64 - 8


def test_a_picture_that_was_cut_off_counts_no_more() -> None:
    cache = Cache(Positions(), 64, 1)
    cache.keep(read(cache, [1, *PICTURE, 3, 4], Span(6, 2), 1))
    held = cache.begin([1, 7, 8, 9, 10, 11, 12, 13])
    cache.extend(held, [7, 8, 9, 10, 11, 12, 13])
    assert held.spans == {}
    assert held.position(8) == 8
