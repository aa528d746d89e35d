"""Which models are offered to classify with, judged by their files and config.json alone."""

from typing import Any

from universal_core import Backend, Claim, ModelInfo
from universal_text.claims import is_causal
from universal_text.classifier.options import ClassifierOptions
from universal_text.documents import kinds_of, modules_of
from universal_text.files import files_beside, weight_files
from universal_text.options import PRELOAD
from universal_text.tables import class_in

TEXTS = Backend(
    name="text-classification",
    model="universal_text.classifier.texts:TextClassifier",
    tasks=("rerank", "classify", "tokenize", "detokenize"),
    options=ClassifierOptions,
    preload=PRELOAD,
    engine="pytorch",
)
TOKENS = Backend(
    name="token-classification",
    model="universal_text.classifier.names:TokenClassifier",
    tasks=("classify_tokens", "tokenize", "detokenize"),
    options=ClassifierOptions,
    preload=PRELOAD,
    engine="pytorch",
)
JUDGES = Backend(
    name="text-ranking",
    model="universal_text.classifier.judge:JudgingModel",
    tasks=("rerank", "tokenize", "detokenize"),
    options=ClassifierOptions,
    preload=PRELOAD,
    engine="pytorch",
)
BACKENDS = (TEXTS, TOKENS, JUDGES)

ENTAILMENT = "entail"
"""What the label begins with, in any case, by which a model says that one text follows from another."""

# These read more than the tokens of a text (places on a page, tables, pictures, sound), or read characters or
# bytes in a way of their own.
_READ_MORE = frozenset(
    {
        *("bros", "layoutlm", "layoutlmv2", "layoutlmv3", "layoutxlm", "lilt", "markuplm", "tapas"),
        *("modernvbert", "ultravbert", "qwen3_asr", "gemma3", "qwen3_5", "t5gemma2"),
        *("canine", "perceiver", "reformer"),
    }
)
_LAYOUT = ("modules.json", "sentence_*_config.json", "config_sentence_transformers.json")
_RANK = 70
# Many requests may wait in the worker: they are the next batch.
_SLOTS = 64


def claim_classifier(info: ModelInfo) -> Claim | None:
    """Offer to run a classifier of texts or of their tokens, or a decoder that judges them, in safetensors."""
    if module := judging_module(info):
        return _claim_judge(info, module)
    if info.config.get("model_type") in _READ_MORE or not _is_plain(info):
        return None
    if name := _class_of(info, "SEQUENCE_CLASSIFICATION", "AutoModelForSequenceClassification"):
        return _claim_texts(info, name)
    if name := _class_of(info, "TOKEN_CLASSIFICATION", "AutoModelForTokenClassification"):
        return _claim(info, TOKENS, TOKENS.tasks, f"config.json names the classifier of tokens {name}", ())
    return None


def _claim_texts(info: ModelInfo, name: str) -> Claim | None:
    labels = labels_in(info.config)
    if len(labels) == 1:
        return _claim(info, TEXTS, TEXTS.tasks, f"config.json names the classifier {name} with one label, a score", ())
    fields = ("labels",) if any(label.lower().startswith(ENTAILMENT) for label in labels) else ()
    tasks = tuple(task for task in TEXTS.tasks if task != "rerank")
    return _claim(info, TEXTS, tasks, f"config.json names the classifier {name} with {len(labels)} labels", fields)


def _claim_judge(info: ModelInfo, module: str) -> Claim | None:
    name = next((name for name in info.architectures if is_causal(name)), None)
    reason = f"modules.json names a LogitScore over {name}, which says yes or no"
    return _claim(info, JUDGES, JUDGES.tasks, reason, (), (f"{module}/config.json",)) if name else None


def judging_module(info: ModelInfo) -> str | None:
    """Return the folder that says which tokens of a decoder mean yes and no, None for any other model.

    Only the layout of sentence-transformers tells such a model from one that chats: a LogitScore behind a Transformer.
    """
    modules = modules_of(info)
    if kinds_of(modules) != ["Transformer", "LogitScore"] or modules[0].get("path"):
        return None
    return str(modules[1].get("path") or "").strip("/") or None


def _claim(
    info: ModelInfo,
    backend: Backend,
    tasks: tuple[str, ...],
    reason: str,
    fields: tuple[str, ...],
    more: tuple[str, ...] = (),
) -> Claim | None:
    weights = weight_files(info)
    if not weights:
        return None
    return Claim(
        backend=backend.name,
        tasks=tasks,
        rank=_RANK,
        reason=f"{reason}, and its weights are safetensors",
        slots=_SLOTS,
        fields=fields,
        files=(*weights, *files_beside(info), *_LAYOUT, *more),
    )


def labels_in(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels that a config.json names, those of transformers where it names none."""
    named = config.get("id2label")
    if isinstance(named, dict) and named:
        return tuple(map(str, named.values()))
    count = config.get("num_labels")
    return tuple(f"LABEL_{place}" for place in range(count if isinstance(count, int) and count > 0 else 2))


def _class_of(info: ModelInfo, table: str, auto_class: str) -> str | None:
    """Return the class in config.json that transformers knows for a purpose, or that the model's own code is for."""
    own = info.config.get("auto_map")
    if isinstance(own, dict) and auto_class in own:
        named = (name for name in info.architectures if name.endswith(auto_class.removeprefix("AutoModel")))
        return next(named, None) or class_in(info, f"MODEL_FOR_{table}")
    return class_in(info, f"MODEL_FOR_{table}")


def _is_plain(info: ModelInfo) -> bool:
    """Tell a classifier by itself, also in the layout of sentence-transformers, from one with layers behind it."""
    modules = modules_of(info)
    return not modules or (kinds_of(modules) == ["Transformer"] and not modules[0].get("path"))
