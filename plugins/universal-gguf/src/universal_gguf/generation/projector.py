"""The part of a model that sees or hears, in a file of its own, through llama.cpp's mtmd."""

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import llama_cpp
import numpy
from llama_cpp import mtmd_cpp

from universal_core import BadRequest, InternalError, LoadFailed
from universal_core.continuous_batching import Span
from universal_core.pictures import read_picture
from universal_gguf import log
from universal_gguf.generation.media import Embeddings, Given, MediaPrompt, Medium, Positions
from universal_gguf.generation.recordings import check_recording
from universal_gguf.header import read_header
from universal_gguf.library import Weights

KEPT_BYTES = 256 * 2**20
"""How much of what pictures and recordings became is kept, for the next turns of their conversations."""

_SHORTEST = 0.1


@dataclass(slots=True)
class Seen:
    """What became of a picture or a recording: its size in pixels or samples, and its parts in order."""

    size: tuple[int, ...]
    parts: list[Embeddings] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """How much memory the parts take."""
        return sum(part.nbytes for part in self.parts)


class Projector:
    """Turns pictures and recordings into what the model reads; it may be used from several threads.

    A chat template shows it the text ``marker`` in the place of each of them.
    """

    def __init__(self, file: Path, weights: Weights, *, threads: int, use_gpu: bool, most: int) -> None:
        """Load a projector; ``most`` is how many tokens one step can have. Raises LoadFailed."""
        # Nobody who writes a message can know it.
        self.marker = f"<__media_{token_hex(16)}__>"
        parameters = mtmd_cpp.mtmd_context_params_default()
        parameters.media_marker = self.marker.encode()
        parameters.n_threads, parameters.use_gpu, parameters.print_timings = threads, use_gpu, False
        self._pointer = _load(file, weights, parameters)
        self._width = int(llama_cpp.llama_model_n_embd_inp(weights.pointer))
        self._sections = 4 if mtmd_cpp.mtmd_decode_use_mrope(self._pointer) else 1
        self._most = most
        self._encoding = threading.Lock()
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()

    @property
    def sees(self) -> bool:
        """Whether it takes pictures."""
        return bool(mtmd_cpp.mtmd_support_vision(self._pointer))

    @property
    def hears(self) -> bool:
        """Whether it takes recordings."""
        return bool(mtmd_cpp.mtmd_support_audio(self._pointer))

    def read(
        self,
        text: str,
        given: Sequence[Given],
        *,
        special: bool,
        check: Callable[[int], object] | None,
    ) -> MediaPrompt:
        """Return the tokens of a text with a marker in the place of each of what is given.

        ``special`` adds what the model wants around every text. ``check`` is told how many tokens there are before
        anything is encoded, and may raise; without it nothing is encoded, so that the prompt can only be counted.
        Raises BadRequest for what cannot be read.
        """
        shown = text.count(self.marker)
        if shown != len(given):
            raise BadRequest(
                f"messages: the model's chat template shows {shown} of {len(given)} pictures and recordings; "
                "send them in turns of the user",
                param="messages",
            )
        with self._encoding:
            known = {one.key: self._seen[one.key] for one in given if one.key in self._seen}
        # What was seen before is only measured again. It does not fit where its place in the prompt matters.
        prompt = self._read(text, given, known, special, check) or self._read(text, given, {}, special, check)
        if prompt is None:
            raise InternalError("the projector measures what it has just encoded in two ways")
        return prompt

    def close(self) -> None:
        """Free the projector."""
        with self._encoding:
            mtmd_cpp.mtmd_free(self._pointer)

    def _read(
        self,
        text: str,
        given: Sequence[Given],
        known: dict[bytes, Seen],
        special: bool,
        check: Callable[[int], object] | None,
    ) -> MediaPrompt | None:
        """Return the prompt, None where something known has another size now."""
        with self._bitmaps(given, known) as bitmaps, self._chunks(text, bitmaps, special) as chunks:
            if check is not None:
                check(sum(mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk) for chunk in chunks))
            seen = dict(known)
            prompt = MediaPrompt()
            parts = [0] * len(given)
            for chunk in chunks:
                if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    prompt.extend(_tokens(chunk))
                    continue
                place = int(mtmd_cpp.mtmd_input_chunk_get_id(chunk) or b"")
                one, part = given[place], parts[place]
                if check is None:
                    embeddings: Embeddings | None = _nothing(chunk)
                else:
                    found = seen.setdefault(one.key, Seen(_size(bitmaps[place])))
                    embeddings = self._embeddings(chunk, found, part, fixed=one.key in known)
                if embeddings is None:
                    return None
                medium = self._medium(chunk, embeddings, one)
                prompt.add(medium, one.key + part.to_bytes(4) + medium.positions.tobytes())
                parts[place] += 1
        self._keep(seen)
        return prompt

    @contextmanager
    def _bitmaps(self, given: Sequence[Given], known: dict[bytes, Seen]) -> Iterator[list[int]]:
        """Give pictures and recordings as the library has them: of those known only the size."""
        bitmaps: list[int] = []
        try:
            for place, one in enumerate(given):
                seen = known.get(one.key)
                if one.is_audio:
                    bitmaps.append(self._sound(one, seen))
                else:
                    bitmaps.append(_picture(one, seen))
                mtmd_cpp.mtmd_bitmap_set_id(bitmaps[-1], str(place).encode())
            yield bitmaps
        finally:
            for bitmap in bitmaps:
                mtmd_cpp.mtmd_bitmap_free(bitmap)

    def _sound(self, given: Given, seen: Seen | None) -> int:
        if seen is not None:
            return _existing(mtmd_cpp.mtmd_bitmap_init_from_audio(*seen.size, None))
        check_recording(given.data, given.param)
        buffer = (ctypes.c_uint8 * len(given.data)).from_buffer_copy(given.data)
        bitmap = mtmd_cpp.mtmd_helper_bitmap_init_from_buf(self._pointer, buffer, len(given.data), False)
        if bitmap is None:
            raise BadRequest(f"{given.param}: the recording is damaged", param=given.param)
        least = _SHORTEST * mtmd_cpp.mtmd_get_audio_sample_rate(self._pointer)
        # The library ends the process for one without a sample.
        if not mtmd_cpp.mtmd_bitmap_is_audio(bitmap) or mtmd_cpp.mtmd_bitmap_get_nx(bitmap) < least:
            mtmd_cpp.mtmd_bitmap_free(bitmap)
            raise BadRequest(f"{given.param}: the recording has less than {_SHORTEST} s of sound", param=given.param)
        return int(bitmap)

    @contextmanager
    def _chunks(self, text: str, bitmaps: list[int], special: bool) -> Iterator[list[int]]:
        """Give the pieces of a prompt: text, and media ready to be encoded."""
        chunks, data = mtmd_cpp.mtmd_input_chunks_init(), text.encode()
        try:
            written = mtmd_cpp.mtmd_input_text(data, len(data), special, True)
            pointers = (mtmd_cpp.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
            errors = log.collect_errors()
            if mtmd_cpp.mtmd_tokenize(self._pointer, chunks, ctypes.byref(written), pointers, len(bitmaps)):
                words = "; ".join(errors) or "it gave no reason"
                raise BadRequest(f"messages: the projector cannot read what is shown: {words}", param="messages")
            count = mtmd_cpp.mtmd_input_chunks_size(chunks)
            yield [_existing(mtmd_cpp.mtmd_input_chunks_get(chunks, place)) for place in range(count)]
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)

    def _embeddings(self, chunk: int, seen: Seen, part: int, *, fixed: bool) -> Embeddings | None:
        """Return a part of a medium as the model reads it, None where what is known of it is ``fixed`` and another."""
        stored = seen.parts[part] if part < len(seen.parts) else None
        if stored is not None and len(stored) == mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk):
            return stored
        if fixed:
            return None
        embeddings = self._encode(chunk)
        if stored is None:
            seen.parts.append(embeddings)
        return embeddings

    def _encode(self, chunk: int) -> Embeddings:
        count = mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk)
        with self._encoding:
            code = mtmd_cpp.mtmd_encode_chunk(self._pointer, chunk)
            if code:
                raise InternalError(f"mtmd_encode_chunk ended with code {code} for {count} tokens")
            found: Any = mtmd_cpp.mtmd_get_output_embd(self._pointer)
            embeddings: Embeddings = numpy.ctypeslib.as_array(found, (count, self._width)).copy()
            return embeddings

    def _medium(self, chunk: int, embeddings: Embeddings, given: Given) -> Medium:
        span = Span(len(embeddings), int(mtmd_cpp.mtmd_input_chunk_get_n_pos(chunk)))
        causal = not mtmd_cpp.mtmd_decode_use_non_causal(self._pointer, chunk)
        if not causal and span.tokens > self._most:
            raise BadRequest(
                f"{given.param}: the model reads it as {span.tokens} tokens at once, and the option n_batch allows "
                f"{self._most}; send a smaller one, or load the model with a larger n_batch",
                param=given.param,
            )
        first = self._positions(chunk, span.tokens, 0)
        return Medium(span, embeddings, first, self._positions(chunk, span.tokens, 1) - first, causal)

    def _positions(self, chunk: int, count: int, begin: int) -> Positions:
        """Return the positions of a medium that begins at ``begin``, ``[sections, count]``."""
        image = mtmd_cpp.mtmd_input_chunk_get_tokens_image(chunk)
        if self._sections == 1 or image is None:
            return numpy.tile(numpy.arange(begin, begin + count, dtype=numpy.int32), (self._sections, 1))
        found = (mtmd_cpp.mtmd_decoder_pos * count)()
        mtmd_cpp.mtmd_helper_image_get_decoder_pos(image, begin, found)
        # The library has t, x, y, z, and the model t, y, x, z.
        return numpy.frombuffer(bytes(found), numpy.int32).reshape(count, 4)[:, [0, 2, 1, 3]].T

    def _keep(self, seen: dict[bytes, Seen]) -> None:
        with self._encoding:
            self._seen |= seen
            for key in seen:
                self._seen.move_to_end(key)
            while sum(one.bytes for one in self._seen.values()) > KEPT_BYTES:
                self._seen.popitem(last=False)


def _load(file: Path, weights: Weights, parameters: mtmd_cpp.mtmd_context_params) -> mtmd_cpp.mtmd_context_p:
    if not read_header(file).is_projector:
        raise LoadFailed(f"mmproj {file.name} is a model of its own and no projector; name another file")
    errors = log.collect_errors()
    pointer: mtmd_cpp.mtmd_context_p | None = mtmd_cpp.mtmd_init_from_file(
        str(file).encode(), weights.pointer, parameters
    )
    if pointer is None:
        raise LoadFailed(
            f"llama.cpp could not load the projector {file.name}: {'; '.join(errors) or 'no reason given'}"
        )
    return pointer


def _picture(given: Given, seen: Seen | None) -> int:
    if seen is not None:
        return _existing(mtmd_cpp.mtmd_bitmap_init(*seen.size, None))
    pixels = numpy.ascontiguousarray(read_picture(given.data, given.param))
    height, width, _ = pixels.shape
    return _existing(mtmd_cpp.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))))


def _size(bitmap: int) -> tuple[int, ...]:
    width = int(mtmd_cpp.mtmd_bitmap_get_nx(bitmap))
    if mtmd_cpp.mtmd_bitmap_is_audio(bitmap):
        return (width,)
    return width, int(mtmd_cpp.mtmd_bitmap_get_ny(bitmap))


def _nothing(chunk: int) -> Embeddings:
    """Return as many embeddings as a medium has tokens, with nothing in them."""
    return numpy.empty((mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk), 0), numpy.float32)


def _tokens(chunk: int) -> list[int]:
    count = ctypes.c_size_t()
    tokens: Any = mtmd_cpp.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
    found: list[int] = tokens[: count.value]
    return found


def _existing(pointer: Any) -> int:
    if pointer is None:
        raise InternalError("the projector ran out of memory")
    return int(pointer)
