"""Texts side by side in one forward pass come out as they do alone; models that cannot read them so are told."""

from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from tiny.embedding import load, real_model, vectors
from tiny.encoders import bert_config, make_sentence_transformer, qwen3_config, save, wordpiece_tokenizer
from universal_core import DetokenizeRequest
from universal_text.encoder.model import EncoderModel
from universal_text.encoder.network import PackedNetwork, PaddedNetwork
from universal_text.packing import PackedForward, Unsupported, pack, prepare
from universal_text.packing.attention import Way, _of_alike, _of_all
from universal_text.packing.texts import Texts

TEXTS = ["hello world", "the quick brown fox jumps over", "", "Lazy DOG!", "a tiny cat " * 20, "hello world"]
LENGTHS = [9, 9, 4, 30, 1, 4]
KINDS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"pad_token_id": 1, "max_position_embeddings": 130},
    "xlm-roberta": {"pad_token_id": 1, "max_position_embeddings": 130},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 16},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0},
    "mpnet": {"pad_token_id": 1},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "pad_token_id": 0},
    "convbert": {"embedding_size": 16, "num_groups": 1},
}
# Their attention knows how far two tokens are apart, or their layers look at the neighbours.
PADDED = ("mpnet", "deberta-v2", "convbert")


def config_of(kind: str) -> Any:
    common = bert_config(len(wordpiece_tokenizer())).to_dict()
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = {name: common[name] for name in (*kept, "max_position_embeddings", "initializer_range")}
    if kind == "distilbert":
        sizes = {name: sizes[name] for name in ("vocab_size", "max_position_embeddings", "initializer_range")}
    return AutoConfig.for_model(kind, **{**sizes, **KINDS[kind]})


# The numbers of ConvBERT depend on how much padding there is, in sentence-transformers as well.
@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "convbert"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    torch.manual_seed(0)
    kind: str = request.param
    tokenizer = wordpiece_tokenizer()
    model = AutoModel.from_config(config_of(kind))
    return kind, save(tmp_path_factory.mktemp(kind), model, tokenizer)


def test_each_family_has_the_vectors_of_sentence_transformers(bare: tuple[str, Path]) -> None:
    kind, path = bare
    model = load(path)
    peer = SentenceTransformer(str(path), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    wanted = peer.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert isinstance(model._network, PaddedNetwork if kind in PADDED else PackedNetwork)
    assert numpy.abs(vectors(model, TEXTS) - wanted).max() < 1e-5


@pytest.mark.parametrize("pooling", ["cls", "max", "mean", "mean_sqrt", "weightedmean", "last"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_pooled_packed_or_padded_the_vectors_are_the_same(pooling: str, include_prompt: bool, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"default_prompt": "passage", "include_prompt": include_prompt, "normalize": False}
    make_sentence_transformer(tmp_path, pooling=pooling, **settings)
    model = load(tmp_path)
    packed = vectors(model, TEXTS, normalize=False)
    model._network = _padded(model._network)
    assert numpy.abs(packed - vectors(model, TEXTS, normalize=False)).max() < 2e-6


def _padded(packed: Any) -> PaddedNetwork:
    """Return a network that pads, over the model of one that does not."""
    model = packed._forward._model
    model.set_attn_implementation("sdpa")

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    return PaddedNetwork(forward, packed._head, filler=0, budget=4096, device=torch.device("cpu"))


def attended(lengths: Sequence[int], way: Way, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Return what each text attends to by itself, and what it is given by each function for many of them."""
    torch.manual_seed(0)
    texts = Texts(lengths)
    parts = [torch.randn(3, texts.tokens, 8).to(dtype) for _ in range(3)]
    alone = []
    for query, key, value in zip(*(part.float().split(texts.lengths, 1) for part in parts), strict=True):
        scores = query @ key.transpose(1, 2) * way.scale
        seen = way.seen(query.shape[1], query.device)
        scores = scores if seen is None else scores.masked_fill(~seen, float("-inf"))
        alone.append((scores.softmax(-1) @ value).transpose(0, 1))
    query, key, value = parts
    return torch.cat(alone), [run(texts, query, key, value, way) for run in (_of_alike, _of_all)]


@pytest.mark.parametrize("window", [None, 3, 100])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_each_text_attends_to_itself_alone(causal: bool, window: int | None, dtype: torch.dtype, near: float) -> None:
    expected, found = attended(LENGTHS, Way(0.3, causal, window), dtype)
    assert all((expected - one.float()).abs().max() < near for one in found)


def test_texts_too_long_for_plain_products_attend_as_well() -> None:
    expected, found = attended([600, 600, 5], Way(0.3, False, None), torch.bfloat16)
    assert all((expected - one.float()).abs().max() < 0.03 for one in found)


def classifier(config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(deepcopy(config)).eval()
    return model


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "modernbert", "qwen3"])
@pytest.mark.parametrize("side", ["left", "right"])
@torch.inference_mode()
def test_a_head_gets_what_it_would_get_padded(kind: str, side: str) -> None:
    config = qwen3_config(80) if kind == "qwen3" else config_of(kind)
    config.pad_token_id, config.use_cache = config.pad_token_id or 0, False
    if side == "left" and kind != "qwen3":
        pytest.skip("encoders read their answer off the first token, or know only padding on the right")
    ids = torch.randint(10, 80, (3, 12))
    real = torch.arange(12) < torch.tensor([[12], [5], [9]])
    real = real.flip(1) if side == "left" else real
    ids[~real] = config.pad_token_id
    inputs = {"input_ids": ids, "attention_mask": real.long()}
    if side == "left":
        inputs["position_ids"] = (real.cumsum(1) - 1).clamp(min=0)
    usual, packed = classifier(config), classifier(config)
    pack(packed, nullcontext)
    assert (usual(**inputs).logits - packed(**inputs).logits).abs().max() < 1e-5


@pytest.mark.parametrize("kind", PADDED)
def test_a_model_that_cannot_read_side_by_side_is_left_as_it_was(kind: str) -> None:
    torch.manual_seed(0)
    model = AutoModel.from_config(config_of(kind)).eval()
    before = model.config._attn_implementation
    with pytest.raises(Unsupported):
        PackedForward(model, nullcontext)
    assert model.config._attn_implementation == before


def test_a_head_that_wants_more_than_hidden_states_is_left_as_it_was() -> None:
    model = classifier(config_of("albert"))
    forward, attention = model.base_model.forward, model.base_model.config._attn_implementation
    with pytest.raises(Unsupported):
        pack(model, nullcontext)
    assert model.base_model.forward == forward
    assert model.base_model.config._attn_implementation == attention


def test_prepared_layers_that_come_out_wrong_are_put_back() -> None:
    torch.manual_seed(0)
    model = AutoModel.from_config(config_of("bert")).eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    def check() -> None:
        assert not any(isinstance(module, torch.nn.Linear) for module in model.modules())
        raise Unsupported("no")

    assert not prepare(model, check)
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_no_text_of_a_real_model_loses_its_direction_in_bfloat16() -> None:
    wide = load(real_model())
    narrow, texts = load(real_model(), dtype="bfloat16"), salads(wide, 24)
    assert (vectors(narrow, texts) * vectors(wide, texts)).sum(axis=1).min() >= 0.9999


def salads(model: EncoderModel, count: int) -> list[str]:
    """Return texts of words drawn at random, many of them short."""
    words = [model.detokenize(DetokenizeRequest(tokens=(token,))).text for token in range(2000, 12000, 7)]
    draw = numpy.random.default_rng(0)
    return [" ".join(draw.choice(words, size)) for size in [*range(1, 9), *draw.integers(1, 60, count - 8)]]
