"""Which file is meant: names and listings as they are found on the hub."""

from pathlib import Path

import pytest

from universal_core import ModelFile, ModelInfo, ModelNotFound, ModelRef
from universal_gguf.names import is_other, is_projector, part_of, quantization_of
from universal_gguf.quantization import PREFERENCE, Choice, choose, path_of

NAMES = {
    # Qwen, official
    "qwen2.5-0.5b-instruct-q4_k_m.gguf": "Q4_K_M",
    "qwen2.5-7b-instruct-q5_k_m-00001-of-00002.gguf": "Q5_K_M",
    "qwen2.5-7b-instruct-fp16-00001-of-00004.gguf": "F16",
    "qwen1_5-0_5b-chat-q2_k.gguf": "Q2_K",
    "Qwen3-0.6B-Q8_0.gguf": "Q8_0",
    "Qwen3-Embedding-0.6B-f16.gguf": "F16",
    # bartowski
    "Llama-3.2-1B-Instruct-Q4_0_4_4.gguf": "Q4_0_4_4",
    "Llama-3.2-1B-Instruct-Q4_0_8_8.gguf": "Q4_0_8_8",
    "Llama-3.2-1B-Instruct-Q6_K_L.gguf": "Q6_K_L",
    "Meta-Llama-3.1-8B-Instruct-Q3_K_XL.gguf": "Q3_K_XL",
    "Meta-Llama-3.1-8B-Instruct-IQ4_XS.gguf": "IQ4_XS",
    "Meta-Llama-3.1-8B-Instruct-f32.gguf": "F32",
    "Mistral-Nemo-Instruct-2407-IQ2_M.gguf": "IQ2_M",
    "Qwen_Qwen3-4B-IQ3_XXS.gguf": "IQ3_XXS",
    "Qwen_QwQ-32B-bf16/Qwen_QwQ-32B-bf16-00001-of-00002.gguf": "BF16",
    "gemma-2-9b-it-Q4_K_L.gguf": "Q4_K_L",
    "Mixtral-8x22B-v0.1-Q8_0/Mixtral-8x22B-v0.1-Q8_0-00001-of-00004.gguf": "Q8_0",
    # unsloth
    "Qwen3-4B-UD-Q4_K_XL.gguf": "UD-Q4_K_XL",
    "Qwen3-30B-A3B-UD-IQ1_M.gguf": "UD-IQ1_M",
    "Qwen3-30B-A3B-UD-Q8_K_XL.gguf": "UD-Q8_K_XL",
    "DeepSeek-R1-0528-UD-TQ1_0.gguf": "UD-TQ1_0",
    "UD-IQ2_XXS/DeepSeek-R1-0528-UD-IQ2_XXS-00001-of-00005.gguf": "UD-IQ2_XXS",
    "BF16/Qwen3-235B-A22B-BF16-00001-of-00010.gguf": "BF16",
    "Q2_K_L/Kimi-K2-Instruct-Q2_K_L-00001-of-00008.gguf": "Q2_K_L",
    "gpt-oss-20b-F16.gguf": "F16",
    "GLM-4.6-MXFP4_MOE.gguf": "MXFP4_MOE",
    "gemma-3-270m-it-IQ4_NL.gguf": "IQ4_NL",
    "gemma-3-270m-it-Q2_K_S.gguf": "Q2_K_S",
    "phi-4-Q3_K_S.gguf": "Q3_K_S",
    # lmstudio-community
    "Phi-3.1-mini-4k-instruct-Q4_K_M.gguf": "Q4_K_M",
    "gpt-oss-120b-MXFP4-00001-of-00002.gguf": "MXFP4",
    "DeepSeek-Coder-V2-Lite-Instruct-Q6_K.gguf": "Q6_K",
    # mradermacher
    "Llama-3-8B-Stroganoff.i1-IQ1_S.gguf": "IQ1_S",
    "Llama-3-8B-Stroganoff.i1-Q4_K_M.gguf": "Q4_K_M",
    "Llama-3-8B-Stroganoff.Q5_K_S.gguf": "Q5_K_S",
    "Llama-3-8B-Stroganoff.IQ3_S.gguf": "IQ3_S",
    "Llama-3-8B-Stroganoff.i1-Q4_0_4_8.gguf": "Q4_0_4_8",
    "Big-Model.Q8_0-00001-of-00002.gguf": "Q8_0",
    # TheBloke
    "llama-2-7b-chat.Q4_K_M.gguf": "Q4_K_M",
    "llama-2-7b-chat.Q2_K.gguf": "Q2_K",
    "mistral-7b-instruct-v0.2.Q5_0.gguf": "Q5_0",
    "tinyllama-1.1b-chat-v1.0.Q3_K_L.gguf": "Q3_K_L",
    "phi-2.Q4_1.gguf": "Q4_1",
    # ggml-org and llama.cpp's own conversion
    "gemma-3-4b-it-Q4_K_M.gguf": "Q4_K_M",
    "gpt-oss-20b-mxfp4.gguf": "MXFP4",
    "ggml-model-q4_0.gguf": "Q4_0",
    "ggml-model-Q4_K.gguf": "Q4_K",
    "ggml-model-f16.gguf": "F16",
    "ggml-model-i2_s.gguf": None,
    "stories15M-q4_0.gguf": "Q4_0",
    "embeddinggemma-300M-Q8_0.gguf": "Q8_0",
    "bge-reranker-v2-m3-Q8_0.gguf": "Q8_0",
    # MaziyarPanahi, NousResearch, second-state, google, microsoft, nomic, others
    "Mistral-7B-Instruct-v0.3.fp16.gguf": "F16",
    "Mistral-7B-Instruct-v0.3.IQ1_M.gguf": "IQ1_M",
    "Meta-Llama-3-70B-Instruct.Q5_K_M-00001-of-00002.gguf": "Q5_K_M",
    "Hermes-2-Pro-Llama-3-8B-F16.gguf": "F16",
    "Hermes-3-Llama-3.1-8B.Q6_K.gguf": "Q6_K",
    "Qwen2.5-Coder-7B-Instruct-Q5_K_M.gguf": "Q5_K_M",
    "gemma-3-1b-it-q4_0.gguf": "Q4_0",
    "gemma-1.1-2b-it.gguf": None,
    "Phi-3-mini-4k-instruct-q4.gguf": "Q4",
    "Phi-3-mini-4k-instruct-fp16.gguf": "F16",
    "nomic-embed-text-v1.5.f16.gguf": "F16",
    "nomic-embed-text-v1.5.Q4_K_M.gguf": "Q4_K_M",
    "Meta-Llama-3-8B-Instruct.f16.q6.gguf": "F16-Q6",
    "L3-8B-Stheno-v3.2-Q4_K_M-imat.gguf": "Q4_K_M",
    "model-imatrix-IQ2_XS.gguf": "IQ2_XS",
    "bitnet-b1.58-2B-TQ2_0.gguf": "TQ2_0",
    "Q8_0/model-00001-of-00003.gguf": "Q8_0",
    "fp16/model.gguf": "F16",
    "model.gguf": None,
    "Qwen3-8B-NVFP4.gguf": "NVFP4",
    "Qwen3-8B-IQ4_KSS.gguf": "IQ4_KSS",
    "some-model-q5-k-m.gguf": "Q5_K_M",
    "Falcon3-7B-Instruct-1.58bit-i2_s.gguf": None,
}

OTHERS = [
    "mmproj-model-f16.gguf",
    "mmproj-F16.gguf",
    "mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf",
    "gemma-3-4b-it.mmproj-f16.gguf",
    "llava-v1.6-mistral-7b-mmproj-f16.gguf",
    "MMPROJ-BF16.GGUF",
    "imatrix.gguf",
    "imatrix_unsloth.gguf",
    "Qwen3-8B.imatrix.gguf",
    "ggml-vocab-llama-bpe.gguf",
    "qwen2-vocab.gguf",
    "ggml-adapter-model.gguf",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_quantization_is_told_by_the_name(name: str) -> None:
    assert quantization_of(name) == NAMES[name]
    assert not is_other(name)


def test_the_table_is_of_the_size_that_was_asked_for() -> None:
    assert len(NAMES) + len(LISTINGS) >= 60


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_model_is_told_by_its_name(name: str) -> None:
    assert is_other(name)
    assert is_projector(name) == ("mmproj" in name.lower())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a-00002-of-00003.gguf", ("a", 2, 3)),
        ("Q8_0/a-Q8_0-00001-of-00010.gguf", ("Q8_0/a-Q8_0", 1, 10)),
        ("a.gguf", ("a", 1, 1)),
        ("a-00004-of-00003.gguf", ("a-00004-of-00003", 1, 1)),
        ("a-00000-of-00003.gguf", ("a-00000-of-00003", 1, 1)),
        ("A.GGUF", ("A", 1, 1)),
    ],
)
def test_parts_are_told_by_their_number(name: str, expected: tuple[str, int, int]) -> None:
    part = part_of(name)
    assert (part.model, part.number, part.count) == expected


def parts(stem: str, count: int) -> list[str]:
    return [f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


QWEN = [f"qwen2.5-1.5b-instruct-{kind}.gguf" for kind in ("fp16", "q2_k", "q3_k_m", "q4_0", "q4_k_m", "q5_k_m", "q8_0")]
UNSLOTH = [
    *(f"Qwen3-VL-4B-Instruct-{kind}.gguf" for kind in ("BF16", "IQ4_XS", "Q4_K_M", "Q4_K_S", "Q8_0", "UD-Q4_K_XL")),
    *("mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf", "imatrix_unsloth.gguf", "README.md", "config.json"),
]
LARGE = [
    *parts("BF16/DeepSeek-R1-BF16", 3),
    *parts("Q8_0/DeepSeek-R1-Q8_0", 2),
    *parts("UD-IQ1_S/DeepSeek-R1-UD-IQ1_S", 2),
]
IMPORTANCE = [*(f"M.i1-{kind}.gguf" for kind in ("IQ1_S", "IQ4_NL", "Q2_K", "Q4_K_S", "Q6_K")), "M.imatrix.gguf"]
GGML = [
    "Qwen2.5-VL-3B-Instruct-Q8_0.gguf",
    "Qwen2.5-VL-3B-Instruct-f16.gguf",
    "mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf",
]
DRAFTED = ["Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-draft-Q4_K_M.gguf", "mtp-Qwen3-8B-Q4_K_M.gguf"]
SHELF = ["a/Llama-3-8B-Q4_K_M.gguf", "a/mmproj-Llama-3-8B-F16.gguf", "Qwen3-4B-Q4_K_M.gguf", "mmproj-Other-F16.gguf"]

# listing, variant -> files, quantization, projector
LISTINGS = [
    (QWEN, None, ["qwen2.5-1.5b-instruct-q4_k_m.gguf"], "Q4_K_M", None),
    (QWEN, "Q5_K_M", ["qwen2.5-1.5b-instruct-q5_k_m.gguf"], "Q5_K_M", None),
    (QWEN, "q8_0", ["qwen2.5-1.5b-instruct-q8_0.gguf"], "Q8_0", None),
    (QWEN, "F16", ["qwen2.5-1.5b-instruct-fp16.gguf"], "F16", None),
    (QWEN, "fp16", ["qwen2.5-1.5b-instruct-fp16.gguf"], "F16", None),
    (QWEN, "qwen2.5-1.5b-instruct-q2_k.gguf", ["qwen2.5-1.5b-instruct-q2_k.gguf"], "Q2_K", None),
    (QWEN, "Qwen2.5-1.5B-Instruct-Q2_K", ["qwen2.5-1.5b-instruct-q2_k.gguf"], "Q2_K", None),
    (UNSLOTH, None, ["Qwen3-VL-4B-Instruct-Q4_K_M.gguf"], "Q4_K_M", "mmproj-F16.gguf"),
    (UNSLOTH, "BF16", ["Qwen3-VL-4B-Instruct-BF16.gguf"], "BF16", "mmproj-F16.gguf"),
    (UNSLOTH, "UD-Q4_K_XL", ["Qwen3-VL-4B-Instruct-UD-Q4_K_XL.gguf"], "UD-Q4_K_XL", "mmproj-F16.gguf"),
    (UNSLOTH, "q4_k_xl", ["Qwen3-VL-4B-Instruct-UD-Q4_K_XL.gguf"], "UD-Q4_K_XL", "mmproj-F16.gguf"),
    (LARGE, None, parts("Q8_0/DeepSeek-R1-Q8_0", 2), "Q8_0", None),
    (LARGE, "UD-IQ1_S", parts("UD-IQ1_S/DeepSeek-R1-UD-IQ1_S", 2), "UD-IQ1_S", None),
    (LARGE, "bf16", parts("BF16/DeepSeek-R1-BF16", 3), "BF16", None),
    (LARGE, "DeepSeek-R1-BF16-00001-of-00003.gguf", parts("BF16/DeepSeek-R1-BF16", 3), "BF16", None),
    (IMPORTANCE, None, ["M.i1-Q6_K.gguf"], "Q6_K", None),
    (IMPORTANCE, "IQ4_NL", ["M.i1-IQ4_NL.gguf"], "IQ4_NL", None),
    (IMPORTANCE, "i1-Q2_K", ["M.i1-Q2_K.gguf"], "Q2_K", None),
    (GGML, None, [GGML[0]], "Q8_0", GGML[2]),
    (DRAFTED, None, [DRAFTED[0]], "Q4_K_M", None),
    (DRAFTED[1:2], None, [DRAFTED[1]], "Q4_K_M", None),
    (SHELF, None, ["Qwen3-4B-Q4_K_M.gguf"], "Q4_K_M", None),
    (SHELF, "Llama-3-8B-Q4_K_M", [SHELF[0]], "Q4_K_M", SHELF[1]),
    (["model.gguf"], None, ["model.gguf"], None, None),
    (["gemma-1.1-2b-it.gguf", "config.json"], "gemma-1.1-2b-it", ["gemma-1.1-2b-it.gguf"], None, None),
    (["a-F32.gguf", "a-IQ3_M.gguf", "a-BF16.gguf"], None, ["a-IQ3_M.gguf"], "IQ3_M", None),
    (["a-F16.gguf", "a-BF16.gguf", "a-F32.gguf"], None, ["a-F16.gguf"], "F16", None),
    (["a-BF16.gguf", "a-F32.gguf"], None, ["a-BF16.gguf"], "BF16", None),
    ([*parts("a-Q4_K_M", 3)[:2], "a-Q2_K.gguf"], None, ["a-Q2_K.gguf"], "Q2_K", None),
]


def info(names: list[str], variant: str | None = None, path: Path | None = None) -> ModelInfo:
    ref = ModelRef.parse(f"org/repo:{variant}" if variant else "org/repo")
    files = tuple(ModelFile(name, 100 + number) for number, name in enumerate(names))
    return ModelInfo(id=ref.text, ref=ref, source="test", files=files, path=str(path) if path else None)


@pytest.mark.parametrize("case", LISTINGS, ids=lambda case: f"{case[0][0]}:{case[1]}")
def test_the_file_that_is_meant_is_chosen(
    case: tuple[list[str], str | None, list[str], str | None, str | None],
) -> None:
    names, variant, files, quantization, projector = case
    found = choose(info(names, variant))
    assert found is not None
    assert (list(found.files), found.quantization, found.projector) == (files, quantization, projector)
    assert found.first == files[0]
    assert found.size == sum(100 + names.index(name) for name in files)


def test_without_a_wish_the_order_of_preference_counts() -> None:
    left = list(PREFERENCE)
    while left:
        found = choose(info([f"a-{kind}.gguf" for kind in (*sorted(left), "IQ4_XS", "BF16", "F32")]))
        assert found is not None
        assert found.quantization == left.pop(0)


@pytest.mark.parametrize("variant", ["Q9", "Q4_K", "Q5_0", "BF16", "Q4_K_M_L", "nonsense", "other.gguf"])
def test_a_quantization_that_is_not_there_is_refused_with_those_that_are(variant: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        choose(info(QWEN, variant))
    assert raised.value.param == "model"
    assert variant in raised.value.message
    assert "it has F16, Q2_K, Q3_K_M, Q4_0, Q4_K_M, Q5_K_M, Q8_0" in raised.value.message


def test_a_plain_quantization_comes_before_a_dynamic_one_of_the_same_name() -> None:
    found = choose(info(["a-UD-Q2_K.gguf", "a-Q2_K.gguf"], "Q2_K"))
    assert found is not None
    assert found.files == ("a-Q2_K.gguf",)


def test_a_model_whose_parts_are_not_all_there_is_refused_with_the_missing_ones() -> None:
    with pytest.raises(ModelNotFound, match="of its 4 parts these are missing: 2, 4"):
        choose(info([parts("a-Q8_0", 4)[0], parts("a-Q8_0", 4)[2]], "Q8_0"))


def test_of_two_of_one_quantization_the_plainer_name_is_taken_and_the_other_told() -> None:
    found = choose(info(["a-Q4_K_M-imat.gguf", "a-Q4_K_M.gguf", "old/a-Q4_K_M.gguf"]))
    assert found is not None
    assert (found.first, found.others) == ("a-Q4_K_M.gguf", ("a-Q4_K_M-imat", "old/a-Q4_K_M"))


@pytest.mark.parametrize("names", [[], ["model.safetensors"], ["mmproj-F16.gguf"], ["imatrix.gguf", "config.json"]])
def test_where_there_is_no_model_nothing_is_chosen(names: list[str]) -> None:
    assert choose(info(names)) is None


def local(path: Path, text: str | None = None) -> ModelInfo:
    ref = ModelRef.parse(text or str(path))
    files = (ModelFile(path.name, path.stat().st_size),)
    return ModelInfo(id=str(path), ref=ref, source="local file", path=str(path), files=files)


def shelf(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"12345")


def test_a_single_file_brings_its_other_parts_and_its_projector(tmp_path: Path) -> None:
    names = parts("Gemma-3-4b-Q8_0", 2)
    shelf(tmp_path, *names, "mmproj-Gemma-3-4b-F16.gguf", "other-Q8_0.gguf", "mmproj-other-F16.gguf")
    found = choose(local(tmp_path / names[0]))
    assert found == Choice(
        files=tuple(names), quantization="Q8_0", projector="mmproj-Gemma-3-4b-F16.gguf", size=10, projector_size=5
    )
    assert path_of(local(tmp_path / names[0]), names[1]) == tmp_path / names[1]


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (["mmproj-F16.gguf"], "mmproj-F16.gguf"),
        (["mmproj-F16.gguf", "a-Q8_0.gguf"], "mmproj-F16.gguf"),
        (["mmproj-F16.gguf", "b-Q8_0.gguf"], None),
        (["mmproj-b-F16.gguf"], None),
    ],
)
def test_a_single_file_takes_no_projector_of_another_model(
    tmp_path: Path, beside: list[str], expected: str | None
) -> None:
    shelf(tmp_path, "a-Q4_0.gguf", *beside)
    found = choose(local(tmp_path / "a-Q4_0.gguf"))
    assert found is not None
    assert found.projector == expected


def test_a_single_file_whose_other_parts_are_missing_is_refused(tmp_path: Path) -> None:
    name = parts("a-Q8_0", 2)[0]
    shelf(tmp_path, name)
    with pytest.raises(ModelNotFound, match="of its 2 parts these are missing: 2"):
        choose(local(tmp_path / name))


def test_a_single_file_asked_for_with_another_quantization_is_refused(tmp_path: Path) -> None:
    shelf(tmp_path, "a-Q8_0.gguf")
    with pytest.raises(ModelNotFound, match="has no Q4_K_M on this machine; it has Q8_0"):
        choose(local(tmp_path / "a-Q8_0.gguf", f"{tmp_path}/a-Q8_0.gguf:Q4_K_M"))


def test_what_follows_a_colon_in_the_name_of_a_file_is_no_variant(tmp_path: Path) -> None:
    shelf(tmp_path, "llama:7b.gguf")
    found = choose(local(tmp_path / "llama:7b.gguf"))
    assert found is not None
    assert found.first == "llama:7b.gguf"


def test_a_folder_of_files_is_chosen_from_like_a_repository(tmp_path: Path) -> None:
    shelf(tmp_path, *QWEN)
    found = choose(info(QWEN, "q4_0", tmp_path))
    assert found is not None
    assert path_of(info(QWEN, "q4_0", tmp_path), found.first) == tmp_path / "qwen2.5-1.5b-instruct-q4_0.gguf"
