"""LoRA adapters: what peft makes of them, each beside the others, and what cannot be loaded is told by name."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny.adapters import change_config, make_adapter
from tiny.answers import alike, chat_request, completion, gather
from universal_core import AdapterPlace, BadRequest, LoadFailed

PROMPT = "the quick brown fox jumps over the lazy dog"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True, "r": 8},
    "DoRA": {"use_dora": True},
    "all layers": {"targets": "all-linear"},
    "patterns": {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"q_proj": 32}, "layers_to_transform": [1]},
    "embeddings and output": {"targets": ("embed_tokens", "lm_head", "k_proj")},
}

# peft asks a model of transformers about something that is going to be called otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

Adapter = Callable[..., Path]


@pytest.fixture(scope="module")
def base(folder: Callable[[str], Path]) -> Path:
    return folder("qwen3")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """Return a function that makes an adapter once for a seed and some settings."""
    made: dict[str, Path] = {}

    def make(seed: int = 1, **changes: Any) -> Path:
        key = f"{seed} {sorted(changes.items())}"
        if key not in made:
            made[key] = make_adapter(tmp_path_factory.mktemp("adapter"), base, seed=seed, **changes)
        return made[key]

    return make


@pytest.fixture
def spoilt(adapter: Adapter, tmp_path: Path) -> Path:
    """Return an adapter that a test may change."""
    for file in adapter().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def by_peft(base: Path, adapter: Path, most: int, *, merged: bool = False) -> str:
    """Return what peft's own generate() writes, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    model = model.merge_and_unload() if merged else model
    read = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    out = model.eval().generate(
        input_ids=read, attention_mask=torch.ones_like(read), max_new_tokens=most, do_sample=False
    )
    return str(tokenizer.decode(out[0, read.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_writes_what_it_writes_through_peft(
    kind: str, base: Path, adapter: Adapter, open_model: Any, ask: Any
) -> None:
    path = adapter(**KINDS[kind])
    model = open_model(base, adapters={"one": str(path)})
    (answer,) = ask(model, completion(PROMPT, max_tokens=24, adapter="one"))
    assert answer.text == by_peft(base, path, 24)
    assert answer.text != ask(model, completion(PROMPT, max_tokens=24))[0].text


def test_an_adapter_computes_what_weights_compute_that_it_was_merged_into(
    base: Path, adapter: Adapter, open_model: Any, ask: Any, tmp_path: Path
) -> None:
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter())
    model.merge_and_unload().save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    request = {"max_tokens": 16, "logprobs": 2}
    (merged,) = ask(open_model(tmp_path), completion(PROMPT, **request))
    (apart,) = ask(open_model(base, adapters={"one": str(adapter())}), completion(PROMPT, adapter="one", **request))
    assert merged.text == apart.text
    for one, other in zip(merged.by_index[0].logprobs, apart.by_index[0].logprobs, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_the_model_itself_is_the_same_with_adapters_beside_it(
    base: Path, adapter: Adapter, open_model: Any, ask: Any
) -> None:
    request = completion(PROMPT, max_tokens=16, logprobs=5)
    adapted = open_model(base, adapters={"one": str(adapter(1)), "two": str(adapter(2, use_dora=True))})
    used, _, after = ask(adapted, request, completion(PROMPT, max_tokens=16, adapter="two"), request)
    (plain,) = ask(open_model(base), request)
    assert alike(used, plain)
    assert alike(after, plain)


def test_several_at_once_each_write_what_they_write_alone(
    base: Path, adapter: Adapter, open_model: Any, ask: Any
) -> None:
    adapters = {"one": str(adapter(1)), "two": str(adapter(2)), "three": str(adapter(3, r=2))}
    model = open_model(base, adapters=adapters, prefill_chunk=8, slots=6)
    names = (None, "one", "two", "three", "one", None, "two")
    requests = [
        completion(PROMPT[n:], max_tokens=12 + n, logprobs=1, adapter=name, n=1 + n % 2) for n, name in enumerate(names)
    ]
    together = ask(model, *requests)
    assert all(alike(one, ask(model, request)[0]) for one, request in zip(together, requests, strict=True))
    assert len({answer.text for answer in together}) == len(names)


def test_a_chat_is_written_with_an_adapter_too(base: Path, adapter: Adapter, open_model: Any, ask: Any) -> None:
    model = open_model(base, adapters={"one": str(adapter())})
    request = {"max_tokens": 12, "temperature": 0.0}
    plain, adapted = ask(model, chat_request("a", **request), chat_request("a", adapter="one", **request))
    assert plain.text != adapted.text
    assert plain.usage.prompt_tokens == adapted.usage.prompt_tokens


def test_a_scale_says_how_strongly_an_adapter_acts(
    base: Path, adapter: Adapter, open_model: Any, ask: Any, spoilt: Path
) -> None:
    places = {"off": 0.0, "half": 0.5, "full": 1.0}
    model = open_model(base, adapters={name: AdapterPlace(path=str(adapter()), scale=places[name]) for name in places})
    change_config(spoilt, lora_alpha=4)  # half of what it was
    other = open_model(base, adapters={"one": str(spoilt)})
    names = (None, "off", "half", "full")
    plain, off, half, full = ask(model, *(completion(PROMPT, max_tokens=12, adapter=name) for name in names))
    assert plain.text == off.text
    assert half == ask(other, completion(PROMPT, max_tokens=12, adapter="one"))[0]
    assert len({plain.text, half.text, full.text}) == 3


def test_any_name_that_a_request_may_choose_by_will_do(base: Path, adapter: Adapter, open_model: Any, ask: Any) -> None:
    names = ("v1.5", "keys", "half", "lora_A", "Q4_K_M")  # some are what a module of PyTorch has already
    model = open_model(base, adapters={name: str(adapter()) for name in names})
    answers = ask(model, *(completion(PROMPT, max_tokens=6, adapter=name) for name in names))
    assert len({answer.text for answer in answers}) == 1


def test_an_adapter_that_was_not_loaded_is_refused(base: Path, adapter: Adapter, open_model: Any) -> None:
    model = open_model(base, adapters={"one": str(adapter())})
    with pytest.raises(BadRequest, match="there is no adapter 'two'; loaded are: one") as raised:
        asyncio.run(gather(model.complete(completion("a", adapter="two"))))
    assert raised.value.param == "model"


def test_an_adapter_may_be_a_repository(
    base: Path, adapter: Adapter, open_model: Any, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789" * 4
    repository = tmp_path / "models--org--adapter"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / commit).symlink_to(adapter())
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    request = completion(PROMPT, max_tokens=8, adapter="one")
    there = ask(open_model(base, adapters={"one": "org/adapter@v1"}), request)
    assert there == ask(open_model(base, adapters={"one": str(adapter())}), request)
    with pytest.raises(LoadFailed, match="adapter one: org/adapter is not in the cache of this machine"):
        open_model(base, adapters={"one": "org/adapter"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"peft_type": "IA3"}, "names the kind 'IA3', and only LORA can be used"),
        ({"modules_to_save": ["lm_head"]}, r"has modules_to_save = \['lm_head'\]"),
        ({"bias": "all"}, "has bias = 'all'"),
        ({"trainable_token_indices": [1, 2]}, "has trainable_token_indices"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "has layer_replication"),
        ({"alora_invocation_tokens": [1]}, "has alora_invocation_tokens"),
        ({"init_lora_weights": "pissa"}, "was begun with init_lora_weights = 'pissa'"),
        ({"r": 2}, r"does not fit this model \(it was made for .*size mismatch for .*torch.Size"),
        ({"target_modules": ["wrong"]}, "does not fit this model .*[Tt]arget modules .*wrong"),
        ({"target_modules": ["q_proj"]}, r"the model has no place for \d+ of its weights \(\S+"),
        ({"target_modules": ["q_proj", "v_proj", "down_proj", "up_proj"]}, r"its file lacks 4 of the weights"),
    ],
)
def test_what_is_no_plain_lora_or_does_not_fit_is_told(
    fields: dict[str, Any], words: str, base: Path, spoilt: Path, open_model: Any
) -> None:
    change_config(spoilt, **fields)
    with pytest.raises(LoadFailed, match=f"^adapter sql: .*{words}"):
        open_model(base, adapters={"sql": str(spoilt)})


def test_an_adapter_with_a_larger_vocabulary_is_told(base: Path, spoilt: Path, open_model: Any) -> None:
    weights = load_file(spoilt / "adapter_model.safetensors")
    weights["base_model.model.model.embed_tokens.weight"] = torch.zeros(3, 64)
    save_file(weights, spoilt / "adapter_model.safetensors")
    with pytest.raises(LoadFailed, match=r"brings whole weights .*embed_tokens.*larger vocabulary"):
        open_model(base, adapters={"sql": str(spoilt)})


def _drop_weights(path: Path) -> None:
    (path / "adapter_model.safetensors").unlink()


def _pickle(path: Path) -> None:
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")


def _gguf(path: Path) -> None:
    (path / "adapter_model.safetensors").rename(path / "adapter.gguf")


def _damage(path: Path) -> None:
    (path / "adapter_model.safetensors").write_bytes(b"no tensors")


def _scribble(path: Path) -> None:
    (path / "adapter_config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_drop_weights, "there is no adapter_model.safetensors in"),
        (_pickle, "its weights are a pickle, which can run code"),
        (_gguf, "it is a GGUF file, which the backend gguf takes"),
        (_damage, "header"),
        (_scribble, "Expecting property name"),
    ],
)
def test_files_that_cannot_be_read_are_told(
    spoil: Callable[[Path], None], words: str, base: Path, spoilt: Path, open_model: Any
) -> None:
    spoil(spoilt)
    with pytest.raises(LoadFailed, match=f"^adapter sql: .*{words}"):
        open_model(base, adapters={"sql": str(spoilt)})


@pytest.mark.parametrize("place", ["/nowhere/at/all", "./here", "a/b/c", "just-a-name"])
def test_a_place_without_anything_is_told(place: str, base: Path, open_model: Any) -> None:
    with pytest.raises(LoadFailed, match=f"adapter sql: there is nothing at {place}: expected a folder"):
        open_model(base, adapters={"sql": place})


def test_a_file_in_the_place_of_a_folder_is_told(base: Path, spoilt: Path, open_model: Any) -> None:
    with pytest.raises(LoadFailed, match="is a file: expected the folder that peft saved"):
        open_model(base, adapters={"sql": str(spoilt / "adapter_model.safetensors")})


def test_without_peft_the_line_is_told_that_installs_it(
    base: Path, adapter: Adapter, open_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = adapter()
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LoadFailed, match=r'adapters need peft: pip install "universal-text\[lora\]"'):
        open_model(base, adapters={"sql": str(path)})


def test_a_configuration_of_a_later_peft_is_no_reason_to_fail(base: Path, spoilt: Path, open_model: Any) -> None:
    told = json.loads((spoilt / "adapter_config.json").read_text())
    change_config(spoilt, peft_version="99.0", eva_config=None, **{name: told[name] for name in ("r", "lora_alpha")})
    open_model(base, adapters={"sql": str(spoilt)})
