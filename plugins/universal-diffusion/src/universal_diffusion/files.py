"""The files of a pipeline, told from their names: which weights of each component are read, and what stands beside."""

import re
from collections.abc import Iterable

import msgspec

from universal_core import ModelInfo, ModelNotFound

INDEX = "model_index.json"

_WEIGHTS = re.compile(
    r"^(?P<stem>diffusion_pytorch_model|pytorch_model|model)(\.(?P<variant>\w+))?(?P<part>-\d{5}-of-\d{5})?"
    r"(\.(?P<late>\w+))?\.(?P<form>safetensors|bin)$"
)
_INDEX = re.compile(r"\.(safetensors|bin)\.index(\.\w+)?\.json$")
_BESIDE = re.compile(r"\.(json|txt|model|jinja|py|tiktoken)$")
_WITHOUT_WEIGHTS = re.compile(r"Tokenizer|Scheduler|Processor|Extractor")


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """The files with the weights of one component: those of a variant (``fp16``), or of none; pickles or not."""

    names: tuple[str, ...]
    size: int
    variant: str | None = None
    pickled: bool = False


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a pipeline as model_index.json names it: its folder, library and class."""

    name: str
    library: str
    kind: str
    weights: Weights | None = None

    @property
    def needs_weights(self) -> bool:
        """Whether it computes with weights: tokenizers, schedulers and processors do not."""
        return not _WITHOUT_WEIGHTS.search(self.kind)


def components_of(info: ModelInfo) -> tuple[Component, ...]:
    """Return the parts that model_index.json names and does not leave empty, with the weights that would be read.

    Weights of no variant come first; where the model is called by a variant (``org/name:fp16``), that one does.
    Raises ModelNotFound for a variant that no component has.
    """
    index = info.documents.get(INDEX)
    entries = index.items() if isinstance(index, dict) else ()
    wanted = info.ref.variant
    if wanted and wanted not in (known := sorted(variants_of(info))):
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise ModelNotFound(f"{info.ref.name} has no weights of variant {wanted!r}: {has}", param="model")
    return tuple(
        Component(name=name, library=value[0], kind=value[1], weights=_choose(_weights_in(info, name), wanted))
        for name, value in entries
        if not name.startswith("_") and _names_a_class(value)
    )


def variants_of(info: ModelInfo) -> set[str]:
    """Return the variants that any component has weights of."""
    found = (_WEIGHTS.match(file.name.rpartition("/")[2]) for file in info.files if "/" in file.name)
    return {variant for match in found if match and (variant := match["variant"] or match["late"])}


def files_for(info: ModelInfo, components: Iterable[Component]) -> tuple[str, ...]:
    """Return every file that loading reads: the chosen weights that are no pickles, and all that is small."""
    folders = {component.name for component in components}
    weights = [name for each in components if each.weights and not each.weights.pickled for name in each.weights.names]
    beside = [file.name for file in info.files if _is_beside(file.name, folders)]
    return (INDEX, *weights, *beside)


def pickles_of(components: Iterable[Component]) -> tuple[str, ...]:
    """Return the weights that are pickles because the component has no others."""
    return tuple(name for each in components if each.weights and each.weights.pickled for name in each.weights.names)


def _names_a_class(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _is_beside(name: str, folders: set[str]) -> bool:
    folder, _, file = name.rpartition("/")
    return folder in folders and bool(_BESIDE.search(file)) and not _INDEX.search(file)


def _weights_in(info: ModelInfo, folder: str) -> list[Weights]:
    """Return each complete set of weights in a folder, pickles last."""
    sets: dict[tuple[bool, str, str], list[str]] = {}
    sizes = {file.name: file.size for file in info.files if file.name.startswith(f"{folder}/")}
    for name in sorted(sizes):
        if match := _WEIGHTS.match(name.removeprefix(f"{folder}/")):
            key = (match["form"] == "bin", match["variant"] or match["late"] or "", match["stem"])
            sets.setdefault(key, []).append(name)
    found = []
    for (pickled, variant, stem), names in sorted(sets.items()):
        if complete := _complete(names, f"{folder}/{stem}", variant, sizes):
            size = sum(sizes[name] for name in complete)
            found.append(Weights(names=complete, size=size, variant=variant or None, pickled=pickled))
    return found


def _complete(names: list[str], stem: str, variant: str, sizes: dict[str, int]) -> tuple[str, ...]:
    """Return one file with everything, else all parts and their index, or nothing."""
    whole = [name for name in names if "-of-" not in name]
    if whole:
        return (whole[0],)
    form = names[0].rpartition(".")[2]
    index = f"{stem}.{form}.index.{variant}.json" if variant else f"{stem}.{form}.index.json"
    count = int(names[0].rpartition("-of-")[2][:5])
    return (index, *names) if index in sizes and len(names) == count else ()


def _choose(found: list[Weights], variant: str | None) -> Weights | None:
    """Return the best set: no pickle, then the variant that is asked for, then none, then any."""
    return min(found, key=lambda each: (each.pickled, each.variant != variant, each.variant is not None), default=None)
