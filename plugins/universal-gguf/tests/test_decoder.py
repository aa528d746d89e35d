"""One context of llama.cpp: what goes in together comes out as if it had gone in alone."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pytest

from tiny.gguf import make_gguf_llama
from universal_gguf.generation.contexts import generation_parameters
from universal_gguf.generation.decoder import Decoder, Outcome, Piece
from universal_gguf.library import Weights
from universal_gguf.options import GenerationOptions

OPTIONS = GenerationOptions(device="cpu", slots=4, cache_type_k="f32", cache_type_v="f32", flash_attn="off")
TEXTS = [[50 + (place * (7 + number)) % 300 for place in range(3 + 9 * number)] for number in range(5)]


def open_decoder(file: Path, cells: int = 512, options: GenerationOptions = OPTIONS) -> Iterator[Decoder]:
    with (
        closing(Weights([str(file)], options, 0, lambda progress: None)) as weights,
        closing(Decoder(weights, generation_parameters(options, cells))) as decoder,
    ):
        decoder.use_threads(1, 1)
        yield decoder


@pytest.fixture(params=["llama", "gemma3", "mamba"])
def decoder(request: pytest.FixtureRequest, gguf_file: Any) -> Iterator[Decoder]:
    yield from open_decoder(gguf_file(request.param))


def alone(decoder: Decoder, tokens: list[int], sequence: int = 7) -> Any:
    """Return the logits after every token of a text, read by itself."""
    rows = []
    for place, token in enumerate(tokens):
        assert decoder.step([Piece(sequence, place, [token], 1)]) == Outcome.DONE
        rows.append(decoder.logits(1)[0].copy())
    decoder.cut(sequence)
    return numpy.stack(rows)


def close_to(one: Any, other: Any) -> bool:
    return one.shape == other.shape and bool(numpy.abs(one - other).max() < 1e-3 * numpy.abs(other).max())


def test_together_equals_alone_in_the_order_in_which_logits_were_wanted(decoder: Decoder) -> None:
    expected = [alone(decoder, text) for text in TEXTS]
    order = [3, 0, 4, 1, 2]
    pieces = [Piece(place, 0, TEXTS[place], wanted) for place, wanted in zip(order, (1, 3, 0, 2, 1), strict=True)]
    assert decoder.step(pieces) == Outcome.DONE
    rows = decoder.logits(7)
    wanted = [expected[3][-1:], expected[0][-3:], expected[1][-2:], expected[2][-1:]]
    assert close_to(rows, numpy.concatenate(wanted))


def test_a_text_in_pieces_beside_others_equals_one_read_whole(decoder: Decoder) -> None:
    expected = alone(decoder, TEXTS[4])
    for start in range(0, len(TEXTS[4]), 13):
        piece = TEXTS[4][start : start + 13]
        other = TEXTS[2][start // 13 : start // 13 + 1]
        assert decoder.step([Piece(0, start, piece, 1), Piece(1, start // 13, other, 1)]) == Outcome.DONE
        assert close_to(decoder.logits(2)[0], expected[start + len(piece) - 1])


def test_a_copy_goes_its_own_way(decoder: Decoder) -> None:
    text = TEXTS[3]
    assert decoder.step([Piece(0, 0, text, 1)]) == Outcome.DONE
    decoder.copy(0, 1)
    assert decoder.step([Piece(0, len(text), [60], 1), Piece(1, len(text), [61], 1)]) == Outcome.DONE
    rows = decoder.logits(2).copy()
    decoder.cut(0)
    assert decoder.step([Piece(1, len(text) + 1, [62], 1)]) == Outcome.DONE
    last = decoder.logits(1)[0].copy()
    assert close_to(rows[0], alone(decoder, [*text, 60])[-1])
    assert close_to(numpy.stack([rows[1], last]), alone(decoder, [*text, 61, 62])[-2:])


def test_a_part_can_be_copied_and_a_sequence_cut_back(gguf_file: Any) -> None:
    for decoder in open_decoder(gguf_file("llama")):
        text = TEXTS[3]
        assert decoder.step([Piece(0, 0, text, 0)]) == Outcome.DONE
        decoder.copy(0, 1, 10)
        assert decoder.cut(0, 20)
        assert decoder.step([Piece(1, 10, [70], 1), Piece(0, 20, [71], 1)]) == Outcome.DONE
        rows = decoder.logits(2).copy()
        assert close_to(rows[0], alone(decoder, [*text[:10], 70])[-1])
        assert close_to(rows[1], alone(decoder, [*text[:20], 71])[-1])


def test_a_recurrent_state_says_that_it_cannot_be_cut(gguf_file: Any) -> None:
    for decoder in open_decoder(gguf_file("mamba")):
        assert decoder.step([Piece(0, 0, TEXTS[3], 0)]) == Outcome.DONE
        assert not decoder.cut(0, 3)
        assert decoder.cut(0)


def test_a_window_that_has_moved_on_is_known(gguf_file: Any) -> None:
    for decoder in open_decoder(gguf_file("gemma3"), 256):
        assert decoder.step([Piece(1, 0, [60] * 40, 0)]) == Outcome.DONE
        assert decoder.step([Piece(0, 0, [60 + one for one in range(100)], 0)]) == Outcome.DONE
        assert decoder.reaches(0, 20)
        decoder.cut(1)
        for place in range(60):  # Goes to the free places, and then where something is that is behind the window.
            assert decoder.step([Piece(2, place, [60 + place], 0)]) == Outcome.DONE
        assert not decoder.reaches(0, 20)
        assert decoder.reaches(0, 100)


def test_a_full_cache_is_told(gguf_file: Any) -> None:
    for decoder in open_decoder(gguf_file("llama"), 256):
        assert decoder.step([Piece(0, 0, [60] * 250, 0)]) == Outcome.DONE
        assert decoder.step([Piece(1, 0, [60] * 250, 0)]) == Outcome.FULL
        assert decoder.step([Piece(1, 0, [60] * 6, 1)]) == Outcome.DONE


def test_an_interrupt_ends_a_step_at_once_and_the_next_one_works(tmp_path: Path) -> None:
    file = make_gguf_llama(tmp_path / "slow.gguf", context=4096, layers=24, hidden=256, feed_forward=2048)
    options = GenerationOptions(device="cpu", n_batch=4096)
    for decoder in open_decoder(file, 4096, options):
        expected = alone(decoder, [60, 61])
        codes: list[int] = []
        begun = threading.Event()

        def read(decoder: Decoder = decoder, codes: list[int] = codes, begun: threading.Event = begun) -> None:
            begun.set()
            codes.append(decoder.step([Piece(0, 0, [60] * 4000, 1)]))

        thread = threading.Thread(target=read)
        thread.start()
        assert begun.wait(30)
        decoder.interrupt(True)
        thread.join(30)
        assert not thread.is_alive()
        assert codes == [Outcome.ABORTED]
        decoder.interrupt(False)
        decoder.cut(0)
        assert close_to(alone(decoder, [60, 61]), expected)
