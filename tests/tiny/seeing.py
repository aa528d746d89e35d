"""What llama.cpp's own functions make of a prompt with pictures and recordings: the reference for the engine."""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy

from tiny.tokenizers import TURN, TURN_END
from universal_core import ChatRequest, TextPart
from universal_gguf import log

MARKER = "<__media__>"


def prompt_of(request: ChatRequest) -> tuple[str, list[bytes]]:
    """Return the text of a conversation with llama.cpp's own markers, and its pictures and recordings."""
    text, media = "", []
    for message in request.messages:
        text += f"{TURN}{message.role}\n"
        for part in message.content:
            text += part.text if isinstance(part, TextPart) else MARKER
            media += [] if isinstance(part, TextPart) else [part.data]
        text += f"{TURN_END}\n"
    return text + f"{TURN}assistant\n", media


def reference(file: Path, projector: Path, request: ChatRequest, count: int = 12) -> bytes:
    """Return the bytes of the greedy answer, by the functions that llama.cpp's own programs use."""
    import llama_cpp
    from llama_cpp import mtmd_cpp

    log.route()
    text, media = prompt_of(request)
    with ExitStack() as stack:
        model, context = _loaded(stack, file)
        parameters = mtmd_cpp.mtmd_context_params_default()
        parameters.use_gpu, parameters.n_threads, parameters.print_timings = False, 1, False
        mtmd: Any = mtmd_cpp.mtmd_init_from_file(str(projector).encode(), model, parameters)
        stack.callback(mtmd_cpp.mtmd_free, mtmd)
        chunks: Any = mtmd_cpp.mtmd_input_chunks_init()
        stack.callback(mtmd_cpp.mtmd_input_chunks_free, chunks)
        bitmaps = [_bitmap(stack, mtmd, data) for data in media]
        written = mtmd_cpp.mtmd_input_text(text.encode(), len(text.encode()), False, True)
        pointers = (mtmd_cpp.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
        assert mtmd_cpp.mtmd_tokenize(mtmd, chunks, ctypes.byref(written), pointers, len(bitmaps)) == 0
        position = llama_cpp.llama_pos(0)
        code = mtmd_cpp.mtmd_helper_eval_chunks(mtmd, context, chunks, 0, 0, 512, True, ctypes.byref(position))
        assert code == 0
        return _go_on(model, context, position.value, count)


def _loaded(stack: ExitStack, file: Path) -> tuple[Any, Any]:
    import llama_cpp

    options = llama_cpp.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), options)
    stack.callback(llama_cpp.llama_model_free, model)
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, parameters)
    stack.callback(llama_cpp.llama_free, context)
    return model, context


def _bitmap(stack: ExitStack, mtmd: Any, data: bytes) -> int:
    from llama_cpp import mtmd_cpp

    buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
    bitmap = mtmd_cpp.mtmd_helper_bitmap_init_from_buf(mtmd, buffer, len(data), False)
    assert bitmap is not None
    stack.callback(mtmd_cpp.mtmd_bitmap_free, bitmap)
    return bitmap


def _go_on(model: Any, context: Any, position: int, count: int) -> bytes:
    import llama_cpp

    vocabulary = llama_cpp.llama_model_get_vocab(model)
    size = llama_cpp.llama_vocab_n_tokens(vocabulary)
    piece_of = _pieces(vocabulary)
    batch = llama_cpp.llama_batch_init(1, 0, 1)
    written = b""
    for step in range(count):
        logits = numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (size,))
        token = int(logits.argmax())
        if llama_cpp.llama_vocab_is_eog(vocabulary, token):
            break
        written += piece_of(token)
        batch.n_tokens, batch.token[0], batch.pos[0] = 1, token, position + step
        batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, 1
        assert llama_cpp.llama_decode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)
    return written


def _pieces(vocabulary: Any) -> Callable[[int], bytes]:
    import llama_cpp

    def piece(token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(vocabulary, token, buffer, 64, 0, True)
        return buffer.raw[:length]

    return piece
