"""Which files of a folder or a repository are the model that was asked for."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from universal_core import ModelInfo, ModelNotFound, Variant
from universal_gguf.names import canonical, is_draft, is_gguf, is_other, is_projector, part_of, quantization_of, subject

PREFERENCE = ("Q4_K_M", "Q4_K", "Q5_K_M", "Q5_K", "Q8_0", "Q6_K", "Q4_K_S", "Q5_K_S", "Q3_K_M", "Q2_K", "F16")
"""What is taken where nothing is asked for, best first; then any other."""

PROJECTOR_PREFERENCE = ("F16", "BF16", "F32", "Q8_0")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one model: its parts in order, its quantization and its projector, by names relative to the folder.

    ``others`` are models of the same quantization, which the caller can have only by the names of their files.
    """

    files: tuple[str, ...]
    quantization: str | None = None
    projector: str | None = None
    size: int = 0
    projector_size: int = 0
    others: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """The file to load; llama.cpp finds the other parts by its name."""
        return self.files[0]


class _Model(msgspec.Struct, frozen=True):
    name: str
    quantization: str | None
    parts: tuple[str, ...]
    missing: tuple[int, ...]

    @property
    def label(self) -> str:
        return self.quantization or self.name


def choose(info: ModelInfo) -> Choice | None:
    """Return the files of the model that the reference means, None where there is no GGUF model at all.

    ``ref.variant`` is a quantization in any case, or the name of a file with or without ``.gguf``. Raises
    ModelNotFound, listing what is there, for one that is not there and for a model whose parts are not all there.
    """
    sizes = files_of(info)
    models = _models(sizes)
    if not models:
        return None
    variant = variant_of(info)
    found = _named(models, variant) if variant else _preferred(models)
    if not found:
        raise ModelNotFound(_not_there(info, variant, models), param="model")
    best, *others = sorted(found, key=_plainest)
    if best.missing:
        raise ModelNotFound(_incomplete(info, best), param="model")
    projector = _projector_for(best, models, sizes)
    return Choice(
        files=best.parts,
        quantization=best.quantization,
        projector=projector,
        size=sum(sizes[part] for part in best.parts),
        projector_size=sizes.get(projector or "", 0),
        others=tuple(other.name for other in others),
    )


def variants_of(info: ModelInfo) -> tuple[Variant, ...]:
    """Return all models that are there with all of their parts, each under the name that ``choose`` knows it by."""
    models = _models(files_of(info))
    return tuple(Variant(model.label, model.parts) for model in models if not model.missing)


def variant_of(info: ModelInfo) -> str | None:
    """Return the variant that was asked for; what follows a colon in the name of a folder or a file is none."""
    if info.path is not None and Path(info.path).name == Path(info.ref.text.strip()).name:
        return None
    return info.ref.variant


def path_of(info: ModelInfo, name: str) -> Path:
    """Return where a file of a choice is on this machine."""
    return info.place_of(name)


def files_of(info: ModelInfo) -> dict[str, int]:
    """Return the sizes of the GGUF files by name: those of the folder, or of a single file and what belongs to it."""
    files = {file.name: file.size for file in info.files if is_gguf(file.name)}
    path = Path(info.path or "")
    if len(info.files) != 1 or not files or not path.is_file():
        return files
    beside = _beside(path)
    (own,) = files
    alone = all(is_other(name) or subject(name) == subject(own) for name in beside)
    return files | {name: size for name, size in beside.items() if _belongs(name, own, alone)}


def _beside(path: Path) -> dict[str, int]:
    """Return the GGUF files of the folder that a file is in; nothing where the folder must not be listed."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if is_gguf(entry.name) and entry.is_file()}
    return {}


def _belongs(name: str, own: str, alone: bool) -> bool:
    """Say whether a file in the same folder is a part of the model, or its projector.

    A projector without a model's name belongs to whatever is ``alone`` in the folder with it.
    """
    if is_projector(name):
        return subject(name) in subject(own) if subject(name) else alone
    mine, other = part_of(own), part_of(name)
    return mine.count > 1 and (mine.model, mine.count) == (other.model, other.count)


def _models(names: Iterable[str]) -> list[_Model]:
    """Put parts together to models, and leave out what is none."""
    groups: dict[tuple[str, int], dict[int, str]] = {}
    for name in sorted(names):
        if not is_other(name):
            part = part_of(name)
            groups.setdefault((part.model, part.count), {})[part.number] = name
    models = [
        _Model(
            model,
            quantization_of(parts[min(parts)]),
            tuple(parts[number] for number in sorted(parts)),
            tuple(number for number in range(1, count + 1) if number not in parts),
        )
        for (model, count), parts in groups.items()
    ]
    return [model for model in models if not is_draft(model.name)] or models


def _named(models: list[_Model], variant: str) -> list[_Model]:
    """Return the models that a variant names: by file, by quantization, or by that of a dynamic one (UD-)."""
    wanted = part_of(variant).model.lower()
    by_file = [model for model in models if wanted in (model.name.lower(), model.name.lower().rpartition("/")[2])]
    quantization = canonical(variant)
    exact = [model for model in models if model.quantization == quantization]
    dynamic = [model for model in models if model.quantization == f"UD-{quantization}"]
    return by_file or exact or dynamic


def _preferred(models: list[_Model]) -> list[_Model]:
    whole = [model for model in models if not model.missing] or models
    best = min(whole, key=lambda model: (_rank(model), model.label)).quantization
    return [model for model in whole if model.quantization == best]


def _rank(model: _Model) -> tuple[int, int]:
    """Return the place in the order of preference; of what is not named there, what is nearest to four bits."""
    if model.quantization in PREFERENCE:
        return PREFERENCE.index(model.quantization), 0
    bits = re.search(r"\d+", model.quantization or "")
    return len(PREFERENCE), abs(int(bits[0]) - 4) if bits else 64


def _plainest(model: _Model) -> tuple[object, ...]:
    """Order models of one quantization: whole ones, those in no folder, and short names first."""
    return bool(model.missing), model.name.count("/"), len(model.name), model.name


def _projector_for(model: _Model, models: list[_Model], names: Iterable[str]) -> str | None:
    """Return the projector beside a model; where several models share a folder, only one of that model's name."""
    folder = model.name.rpartition("/")[0]
    beside = [name for name in names if is_projector(name) and name.rpartition("/")[0] in ("", folder)]
    own = [name for name in beside if subject(name) and subject(name) in subject(model.parts[0])]
    alone = len({subject(other.parts[0]) for other in models}) == 1
    fitting = own or (beside if alone else [])

    def order(name: str) -> tuple[object, ...]:
        found = quantization_of(name)
        place = PROJECTOR_PREFERENCE.index(found) if found in PROJECTOR_PREFERENCE else len(PROJECTOR_PREFERENCE)
        return place, len(name), name

    return min(fitting, key=order, default=None)


def _not_there(info: ModelInfo, variant: str | None, models: list[_Model]) -> str:
    there = sorted({model.label for model in models if not model.missing})
    where = "on this machine" if info.path is not None else "there"
    return f"{info.ref.name} has no {variant} {where}; it has {', '.join(there) or 'no whole model'}"


def _incomplete(info: ModelInfo, model: _Model) -> str:
    count = len(model.parts) + len(model.missing)
    missing = ", ".join(map(str, model.missing[:8]))
    return f"{model.label} of {info.ref.name} is not whole: of its {count} parts these are missing: {missing}"
