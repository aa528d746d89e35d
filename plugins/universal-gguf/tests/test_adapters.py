"""LoRA adapters in llama.cpp: the same as through peft, each beside the others, and never on another's prefix."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiny.adapters import make_adapter, make_gguf_adapter
from tiny.answers import Answers, chat_request, completion
from tiny.folder import info_of
from tiny.gguf import make_gguf_llama
from tiny.writing import agree, load
from universal_core import AdapterPlace, BadRequest, LoadFailed
from universal_gguf.claims import claim_gguf
from universal_gguf.generation.model import GenerationModel
from universal_gguf.options import GenerationOptions

PROMPT = "the quick brown fox jumps over the lazy dog. "
NAMES = ("one", "two")

Ask = Callable[..., list[Answers]]
LoadModel = Callable[..., GenerationModel]


@pytest.fixture(scope="module")
def source(gguf_file: Callable[[str], Path]) -> Path:
    """Return the folder of transformers that the model qwen3 was converted from."""
    return gguf_file("qwen3").parents[1] / "source"


@pytest.fixture(scope="module")
def of_peft(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("peft")
    return {name: make_adapter(folder / name, source, seed=seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def files(of_peft: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("adapters")
    return {name: str(make_gguf_adapter(folder / name / "adapter.gguf", of_peft[name])) for name in of_peft}


@pytest.fixture(scope="module")
def model(gguf_file: Callable[[str], Path], files: dict[str, str]) -> Iterator[GenerationModel]:
    with closing(load(gguf_file("qwen3"), adapters=files)) as loaded:
        yield loaded


def cached(answer: Answers) -> int:
    return answer.usage.cached_tokens


@pytest.mark.parametrize("name", [None, *NAMES])
def test_an_adapter_writes_what_it_writes_through_peft(
    name: str | None, source: Path, of_peft: dict[str, Path], model: GenerationModel, ask_writer: Ask
) -> None:
    pytest.importorskip("universal_text")
    from universal_text.causal.model import CausalModel
    from universal_text.options import CausalOptions

    request = completion(PROMPT, max_tokens=24, logprobs=3, adapter=name)
    adapters = {name: str(path) for name, path in of_peft.items()}
    options = CausalOptions(device="cpu", dtype="float32", threads=1, adapters=adapters)
    with closing(CausalModel(info_of(source), options)) as reference:
        (expected,) = ask_writer(reference, request)
    (found,) = ask_writer(model, request)
    assert found.text == expected.text
    for one, other in zip(found.by_index[0].logprobs, expected.by_index[0].logprobs, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=2e-4)


def test_several_at_once_each_write_what_they_write_alone(model: GenerationModel, ask_writer: Ask) -> None:
    names = (None, "one", "two", "one", None, "two")
    requests = [
        completion(PROMPT[n:], max_tokens=10 + n, logprobs=1, adapter=name, n=1 + n % 2) for n, name in enumerate(names)
    ]
    together = ask_writer(model, *requests)
    for request, answer in zip(requests, together, strict=True):
        (alone,) = ask_writer(model, request)
        assert alone.text == answer.text
        assert agree(alone, answer)
    assert len({answer.text for answer in together}) == len(names)


def test_the_model_itself_writes_the_same_with_adapters_beside_it(
    new_model: LoadModel, files: dict[str, str], ask_writer: Ask
) -> None:
    request = completion(PROMPT, max_tokens=16, logprobs=2)
    model = new_model("qwen3", adapters=files)
    (expected,) = ask_writer(new_model("qwen3"), request)
    assert ask_writer(model, request) == [expected]
    ask_writer(model, completion(PROMPT, max_tokens=4, adapter="one"))
    (after,) = ask_writer(model, request)
    assert after.text == expected.text
    # Where in the cache a sequence stands moves the last bits, adapters or not.
    for one, other in zip(after.by_index[0].logprobs, expected.by_index[0].logprobs, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_what_an_adapter_has_read_is_of_use_to_that_adapter_alone(
    new_model: LoadModel, files: dict[str, str], ask_writer: Ask
) -> None:
    model = new_model("qwen3", adapters=files)
    request = completion(PROMPT, max_tokens=4)
    by_name = {name: msgspec.structs.replace(request, adapter=name) for name in (None, *NAMES)}
    for name in by_name:
        assert cached(ask_writer(model, by_name[name])[0]) == 0, name
    for name in by_name:
        assert cached(ask_writer(model, by_name[name])[0]) > 0, name


def test_several_answers_to_a_prompt_share_it_with_their_adapter(model: GenerationModel, ask_writer: Ask) -> None:
    request = completion(PROMPT + "x", max_tokens=6, n=3, adapter="one")
    (found,) = ask_writer(model, request)
    (alone,) = ask_writer(model, msgspec.structs.replace(request, n=1))
    assert {answer.text for answer in found.by_index.values()} == {alone.text}


def test_guesses_change_nothing_with_adapters_either(
    new_model: LoadModel, files: dict[str, str], model: GenerationModel, ask_writer: Ask
) -> None:
    requests = [completion(PROMPT * 3, max_tokens=24, adapter=name) for name in (None, *NAMES, None, *NAMES)]
    guessing = new_model("qwen3", adapters=files, lookup_tokens=4, cache_tokens=512)
    expected = ask_writer(model, *requests)
    assert [one.text for one in ask_writer(guessing, *requests)] == [one.text for one in expected]


def test_a_chat_is_written_with_an_adapter_too(model: GenerationModel, ask_writer: Ask) -> None:
    request = chat_request("a", max_tokens=8, temperature=0.0)
    plain, adapted = ask_writer(model, request, msgspec.structs.replace(request, adapter="one"))
    assert plain.text != adapted.text


def test_a_larger_context_has_the_adapters_too(model: GenerationModel, ask_writer: Ask) -> None:
    small, large = ask_writer(
        model, *(completion(PROMPT, max_tokens=8, adapter="one", n_ctx=size) for size in (256, 1024))
    )
    assert small.text == large.text


def test_a_scale_says_how_strongly_an_adapter_acts(
    new_model: LoadModel, files: dict[str, str], of_peft: dict[str, Path], ask_writer: Ask, tmp_path: Path
) -> None:
    half = make_gguf_adapter(tmp_path / "half.gguf", of_peft["one"], alpha=4)
    places = {name: AdapterPlace(path=files["one"], scale=scale) for name, scale in (("off", 0.0), ("half", 0.5))}
    model = new_model("qwen3", adapters={**places, "other": str(half)})
    plain, off, scaled, other = (
        ask_writer(model, completion(PROMPT, max_tokens=10, adapter=name))[0].text
        for name in (None, "off", "half", "other")
    )
    assert (off, scaled) == (plain, other)
    assert scaled != plain


def test_an_adapter_that_was_not_loaded_is_refused(model: GenerationModel, ask_writer: Ask) -> None:
    with pytest.raises(BadRequest, match="there is no adapter 'three'; loaded are: one, two") as raised:
        ask_writer(model, completion("a", adapter="three"))
    assert raised.value.param == "model"


@pytest.mark.parametrize("name", ["Q4_K_M", "q8_0", "F16", "UD-Q4_K_XL", "i1-IQ4_XS", "bf16", "Q4"])
def test_an_adapter_cannot_be_called_like_a_quantization(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"an adapter cannot be called {name}, which is a quantization"):
        msgspec.convert({"adapters": {name: "somewhere"}}, GenerationOptions)


@pytest.mark.parametrize("name", ["sql", "q4-poems", "f16s", "my.q8_0.lora"])
def test_other_names_are_names(name: str) -> None:
    assert msgspec.convert({"adapters": {name: "somewhere"}}, GenerationOptions).adapters == {name: "somewhere"}


def test_of_several_files_in_a_folder_one_is_named_by_file_or_quantization(
    new_model: LoadModel, of_peft: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789" * 4
    repository = tmp_path / "models--org--adapters"
    snapshot = repository / "snapshots" / commit
    for file in ("poems-F16.gguf", "poems-Q8_0.gguf"):
        make_gguf_adapter(snapshot / file, of_peft["one"])
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for place in ("org/adapters:f16", "org/adapters:poems-Q8_0", "org/adapters@main:poems-Q8_0.gguf"):
        new_model("qwen3", adapters={"poems": place})
    for place in ("org/adapters", str(snapshot), "org/adapters:Q4_0"):
        with pytest.raises(LoadFailed, match=r"found poems-F16.gguf, poems-Q8_0.gguf; name one of them"):
            new_model("qwen3", adapters={"poems": place})


def test_an_adapter_of_peft_is_told_how_to_be_converted(new_model: LoadModel, of_peft: dict[str, Path]) -> None:
    with pytest.raises(LoadFailed, match=r"^adapter sql: .*of peft: convert it with .*convert_lora_to_gguf.py"):
        new_model("qwen3", adapters={"sql": str(of_peft["one"])})


def test_what_is_no_adapter_for_the_model_is_told(
    new_model: LoadModel, gguf_file: Callable[[str], Path], of_peft: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.gguf").write_text("<html>")
    llama = make_gguf_adapter(tmp_path / "llama.gguf", of_peft["one"], architecture="llama")
    for place, words in {
        "/nowhere/adapter.gguf": "there is nothing at /nowhere/adapter.gguf",
        str(tmp_path / "empty"): "there is no GGUF file in",
        str(tmp_path / "page.gguf"): "it is a web page",
        str(gguf_file("qwen3")): "is no adapter: its header has general.type 'model'",
        str(llama): "was made for the architecture llama, not for qwen3",
        "org/absent": "org/absent is not in the cache of this machine",
    }.items():
        with pytest.raises(LoadFailed, match=f"^adapter sql: .*{words}"):
            new_model("qwen3", adapters={"sql": place})


def test_an_adapter_of_another_size_is_told_in_the_words_of_llama_cpp(
    new_model: LoadModel, of_peft: dict[str, Path], tmp_path: Path
) -> None:
    adapter = make_gguf_adapter(tmp_path / "a" / "adapter.gguf", of_peft["one"], architecture="llama")
    make_gguf_llama(tmp_path / "m" / "llama.gguf")
    with pytest.raises(LoadFailed, match=r"^adapter sql: it does not fit this model: .*wrong base model"):
        new_model(tmp_path / "m" / "llama.gguf", adapters={"sql": str(adapter)})


def test_an_adapter_is_no_model(files: dict[str, str]) -> None:
    assert claim_gguf(info_of(Path(files["one"]).parent)) is None


def test_adapters_are_honoured_by_the_claim(gguf_file: Callable[[str], Path]) -> None:
    claim: Any = claim_gguf(info_of(gguf_file("qwen3").parent))
    assert "adapter" in claim.fields
