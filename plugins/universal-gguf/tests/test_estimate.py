"""What a model is told to take: as llama.cpp sets it aside, by the options and the device."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import msgspec
import pytest

from tiny.folder import info_of
from tiny.gguf import make_gguf_bert, make_gguf_gemma3, make_gguf_llama, make_gguf_mamba
from universal_core import MemoryEstimate, ModelFile, ModelInfo, ModelRef
from universal_gguf import claim_model, context, estimate, estimate_memory, log
from universal_gguf.cache import Store, cache_bytes, most_cells
from universal_gguf.context import FILE, KEPT, OVERHEAD
from universal_gguf.estimate import compute_bytes, store_of
from universal_gguf.generation.contexts import generation_parameters
from universal_gguf.generation.decoder import Decoder
from universal_gguf.generation.model import GenerationModel
from universal_gguf.header import read_header
from universal_gguf.library import Weights
from universal_gguf.options import GenerationOptions, PooledOptions

GIB = 2**30
FEW = GenerationOptions(slots=4, device="cpu")
MAKERS = {"llama": make_gguf_llama, "gemma3": make_gguf_gemma3, "mamba": make_gguf_mamba}


@pytest.fixture
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "free_memory", lambda device: 100 * GIB)


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "has_accelerator", lambda: True)


def told(info: ModelInfo, device: str = "cpu", **options: Any) -> MemoryEstimate:
    claim = claim_model(info)
    assert claim is not None
    kind = GenerationOptions if claim.backend == "gguf" else PooledOptions
    found = estimate_memory(info, claim, kind(**options), device)
    assert found is not None
    return found


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collect what llama.cpp logs, which tells the size of all that it sets aside."""
    lines: list[str] = []
    listen = llama_cpp.llama_log_callback(lambda level, text, data: lines.append(text.decode(errors="replace")))
    log.route()
    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    try:
        yield lines
    finally:
        log.route()


def set_aside(file: Path, options: GenerationOptions, cells: int) -> dict[str, float]:
    """Return the bytes that llama.cpp says it sets aside, by what for."""
    weights = Weights([str(file)], options, 0, lambda progress: None)
    with closing(weights), heard() as lines, closing(Decoder(weights, generation_parameters(options, cells))):
        pass
    found: dict[str, float] = {}
    for kind, count in re.findall(r"(KV|RS|compute|output) buffer size = +([\d.]+) MiB", "".join(lines)):
        found[kind] = found.get(kind, 0) + float(count) * 2**20
    return found


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "changes", [{}, {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}, {"swa_full": False}, {"slots": 8}], ids=str
)
def test_a_cache_is_what_llama_cpp_sets_aside(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    file = MAKERS[name](tmp_path / "m.gguf", context=4096)
    options = msgspec.structs.replace(FEW, **changes)
    found = set_aside(file, options, 4096)
    assert cache_bytes(read_header(file), 4096, store_of(options)) == pytest.approx(
        found.get("KV", 0) + found.get("RS", 0), abs=0.01 * 2**20
    )


@pytest.mark.parametrize("flash", ["on", "off"])
def test_what_a_step_computes_is_what_llama_cpp_sets_aside(tmp_path: Path, flash: Any) -> None:
    file = make_gguf_llama(tmp_path / "m.gguf", context=8192, hidden=512, feed_forward=1024, heads=8)
    options = msgspec.structs.replace(FEW, flash_attn=flash)
    found = set_aside(file, options, 8192)["compute"]
    assert found <= compute_bytes(read_header(file), 512, 8192, 0, flash=flash == "on") <= 1.4 * found


def test_so_many_tokens_have_room_as_the_cache_was_made_for(tmp_path: Path) -> None:
    header, store = read_header(make_gguf_llama(tmp_path / "m.gguf")), Store(sequences=8, step=512)
    for cells in (256, 1000, 4096, 40_960):
        padded = -(-cells // 256) * 256
        assert most_cells(header, cache_bytes(header, cells, store), store) == padded
        assert most_cells(header, cache_bytes(header, padded, store) - 1, store) == max(padded - 256, 256)


def test_a_state_has_room_for_any_number_of_tokens(tmp_path: Path) -> None:
    header, store = read_header(make_gguf_mamba(tmp_path / "m.gguf")), Store(sequences=8, step=512)
    assert most_cells(header, cache_bytes(header, 256, store), store) > 10**6


@pytest.mark.usefixtures("plenty")
def test_weights_are_the_files_and_the_cache_is_that_of_the_usual_context(tmp_path: Path) -> None:
    file = make_gguf_llama(tmp_path / "m-Q8_0.gguf", context=4096)
    found = told(info_of(tmp_path))
    assert found.weights == file.stat().st_size
    assert found.cache == 16 * 2048 * read_header(file).cache_bytes_per_token()
    assert not found.divisible
    assert found.host > 0


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"slots": 2}, {"slots": 8}),
        ({"n_ctx": 8192}, {"n_ctx": 65536}),
        ({"n_ctx": 8192, "slots": 1}, {"n_ctx": 8192, "slots": 1, "cache_tokens": 32768}),
        ({"cache_type_k": "q8_0"}, {}),
        ({"cache_type_v": "q4_0"}, {"cache_type_v": "q8_0"}),
        ({}, {"flash_attn": "off"}),
        ({}, {"lookup_tokens": 8}),
        ({}, {"n_batch": 2048, "device": "cpu", "flash_attn": "off", "slots": 300 // 2}),
    ],
    ids=str,
)
def test_options_that_take_more_are_told_to(tmp_path: Path, less: dict[str, Any], more: dict[str, Any]) -> None:
    make_gguf_llama(tmp_path / "m-Q8_0.gguf", context=4096)
    assert told(info_of(tmp_path), **less).total < told(info_of(tmp_path), **more).total


@pytest.mark.usefixtures("plenty")
def test_a_window_takes_less_where_it_is_not_kept_whole(tmp_path: Path) -> None:
    make_gguf_gemma3(tmp_path / "m-Q8_0.gguf", context=4096)
    info = info_of(tmp_path)
    assert told(info, swa_full=False).cache < told(info).cache


@pytest.mark.usefixtures("plenty")
def test_what_is_loaded_beside_a_model_counts(tmp_path: Path) -> None:
    for name in ("model", "beside"):
        (tmp_path / name).mkdir()
    make_gguf_llama(tmp_path / "model" / "m-Q8_0.gguf")
    other = make_gguf_llama(tmp_path / "beside" / "other.gguf", layers=1)
    info = info_of(tmp_path / "model")
    plain, size = told(info), other.stat().st_size
    assert told(info, mmproj=str(other)).weights == plain.weights + size
    assert told(info, mmproj="none").weights == plain.weights
    assert told(info, adapters={"a": str(other)}).weights == plain.weights + size
    drafted = told(info, draft_model=str(other))
    assert drafted.weights == plain.weights + size
    assert drafted.cache == plain.cache
    assert drafted.working > plain.working + 0.5 * plain.cache


@pytest.mark.usefixtures("plenty", "with_cuda")
def test_layers_are_where_they_are_asked_to_be(tmp_path: Path) -> None:
    make_gguf_llama(tmp_path / "m-Q8_0.gguf", layers=3)
    info = info_of(tmp_path)
    whole, cpu = told(info, "cuda:0"), told(info)
    assert whole.divisible
    assert (whole.weights, whole.cache, whole.host) == (cpu.weights, cpu.cache, cpu.host)
    fixed = told(info, "cuda:0", n_gpu_layers=-1)
    assert not fixed.divisible
    assert fixed.weights == whole.weights
    half = told(info, "cuda:0", n_gpu_layers=2)
    assert half.weights == whole.weights // 2
    assert half.total == whole.total
    assert told(info, "cuda:0", n_gpu_layers=0).weights == 0


@pytest.mark.usefixtures("plenty")
def test_where_llama_cpp_knows_no_accelerator_all_is_in_the_machines_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "has_accelerator", lambda: False)
    make_gguf_llama(tmp_path / "m-Q8_0.gguf")
    info = info_of(tmp_path)
    found = told(info, "cuda:0")
    assert (found.host, found.total) == (told(info).total, told(info).total)


@pytest.mark.usefixtures("plenty")
def test_an_encoder_has_no_cache_and_a_decoder_that_pools_has(tmp_path: Path) -> None:
    for name in ("encoder", "decoder"):
        (tmp_path / name).mkdir()
    make_gguf_bert(tmp_path / "encoder" / "m.gguf")
    make_gguf_llama(tmp_path / "decoder" / "m.gguf", pooling="last")
    assert told(info_of(tmp_path / "encoder")).cache == 0
    assert told(info_of(tmp_path / "decoder")).cache > 0


def test_an_encoder_has_room_for_scores_that_it_does_not_make_and_shorter_texts_need_less(tmp_path: Path) -> None:
    make_gguf_bert(tmp_path / "m.gguf")
    header = read_header(tmp_path / "m.gguf")
    long, short = (told(info_of(tmp_path), n_ctx=size).working for size in (header.context_length, 8))
    assert long - short >= 4 * (header.context_length - 8) * header.vocabulary_size


def remote(*names: str, variant: str) -> ModelInfo:
    ref = ModelRef.parse(f"org/m:{variant}")
    sizes = {"Q8_0": 8, "Q6_K": 6, "Q4_K_M": 5, "Q2_K": 3, "F16": 16}
    files = tuple(ModelFile(f"m-{name}.gguf", sizes[name] * GIB) for name in names)
    return ModelInfo(id=ref.text, ref=ref, source="HuggingFace hub", files=files)


def test_of_a_model_that_is_not_here_the_weights_are_known_and_the_rest_is_guessed() -> None:
    found = told(remote("Q8_0", variant="Q8_0"))
    assert found.weights == 8 * GIB
    assert found.cache == 0
    assert found.working > GIB


def test_smaller_quantizations_are_named_as_they_can_be_asked_for() -> None:
    info = remote("F16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K", variant="Q8_0")
    found = told(info)
    assert [one.advice for one in found.smaller] == ["org/m:Q6_K", "org/m:Q4_K_M", "org/m:Q2_K"]
    assert [one.total for one in found.smaller] == [found.total - less * GIB for less in (2, 3, 5)]


@pytest.mark.usefixtures("plenty")
def test_advice_takes_less_indeed_the_most_first(tmp_path: Path) -> None:
    make_gguf_llama(tmp_path / "m-Q8_0.gguf", context=32768, layers=8)
    info = info_of(tmp_path)
    found = told(info)
    assert 3 <= len(found.smaller) <= 5
    assert [one.total for one in found.smaller] == sorted((one.total for one in found.smaller), reverse=True)
    for one in found.smaller:
        changes = msgspec.toml.decode(one.advice.replace(", ", "\n"))
        assert told(info, **changes).total == one.total < found.total


def test_a_broken_header_gives_what_is_known_of_a_file_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "m-Q8_0.gguf").write_bytes(b"GGUF" + bytes(1000))
    found = told(info_of(tmp_path))
    assert found.weights == 1004
    assert found.cache == 0


@pytest.mark.usefixtures("plenty")
def test_a_table_of_the_users_that_cannot_be_read_is_for_loading_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIVERSAL_CONFIG_FOLDER", str(tmp_path))
    (tmp_path / FILE).write_text("- nonsense")
    make_gguf_llama(tmp_path / "m-Q8_0.gguf")
    assert told(info_of(tmp_path)).cache > 0


@pytest.mark.parametrize(("free", "total", "size"), [(20, 100, 16_384), (2, 100, KEPT), (2, 3, 2048)])
def test_a_context_gets_smaller_to_fit_beside_other_models_down_to_a_useful_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, size: int
) -> None:
    file = make_gguf_llama(tmp_path / "m-Q8_0.gguf", context=100_000)
    header, each = read_header(file), read_header(file).cache_bytes_per_token() * OVERHEAD
    monkeypatch.setattr(context, "free_memory", lambda device: int(1000 * each * free / 0.8))
    monkeypatch.setattr(context, "total_memory", lambda device: int(1000 * each * total / 0.8))
    assert context.planned_context(info_of(tmp_path), header, FEW, 0).size == size


def test_a_model_has_the_context_that_was_planned_whatever_became_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_gguf_llama(tmp_path / "m-Q8_0.gguf", context=100_000)
    info = info_of(tmp_path)
    monkeypatch.setattr(context, "free_memory", lambda device: 60 * 2**20)
    planned = told(info, slots=4, device="cpu")
    monkeypatch.setattr(context, "free_memory", lambda device: 100 * GIB)
    with closing(GenerationModel(info, FEW, memory=planned)) as model:
        assert cache_bytes(read_header(tmp_path / "m-Q8_0.gguf"), model.context, store_of(FEW)) == planned.cache
    with closing(GenerationModel(info, FEW)) as model:
        assert model.context == 100_000


def test_other_backends_are_asked_elsewhere(tmp_path: Path) -> None:
    make_gguf_llama(tmp_path / "m-Q8_0.gguf")
    claim = claim_model(info_of(tmp_path))
    assert claim is not None
    other = msgspec.structs.replace(claim, backend="another")
    assert estimate_memory(info_of(tmp_path), other, None, "cpu") is None
