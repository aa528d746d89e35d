"""What diffusers' pipelines are for and what they take, read from its source: importing it would load PyTorch."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from universal_core import names_in_mapping

_AUTO = "diffusers.pipelines.auto_pipeline"
_TEXT, _IMAGE, _INPAINT = (f"AUTO_{task}_PIPELINES_MAPPING" for task in ("TEXT2IMAGE", "IMAGE2IMAGE", "INPAINT"))

# What takes one of these answers something else than a picture: a film, or a picture in layers.
_OTHERWISE = frozenset({"num_frames", "video", "layers"})


class Signature(msgspec.Struct, frozen=True):
    """A pipeline class: what calling it takes, and whether it loads adapters."""

    parameters: frozenset[str]
    loads_loras: bool

    @property
    def answers_requests(self) -> bool:
        """Whether it makes single pictures of what a request may have: no picture to control it is among that."""
        controlled = any(name.startswith("control") for name in self.parameters)
        return bool(self.parameters) and not controlled and not self.parameters & _OTHERWISE


class Relatives(msgspec.Struct, frozen=True):
    """The classes that can run one set of weights for each kind of task, None where there is no such class."""

    text: str | None = None
    image: str | None = None
    inpaint: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(name for name in (self.text, self.image, self.inpaint) if name)


@cache
def relatives_of(kind: str) -> Relatives:
    """Return what AutoPipeline's ``from_pipe`` would make of a pipeline of this class, none for a class unknown to it.

    A class that takes a prompt with a picture and its mask, or with a picture and how far to follow it, changes
    pictures even if AutoPipeline has no place for it.
    """
    tables = {table: names_in_mapping(_AUTO, table) for table in (_TEXT, _IMAGE, _INPAINT)}
    family = next((key for table in tables.values() for key, names in table.items() if kind in names), None)
    if family is None:
        return _by_parameters(kind)
    text, image, inpaint = (_usable(next(iter(table.get(family, ())), None)) for table in tables.values())
    return Relatives(text=text, image=image, inpaint=inpaint)


def _usable(kind: str | None) -> str | None:
    return kind if kind and signature_of(kind).answers_requests else None


def _by_parameters(kind: str) -> Relatives:
    taken = signature_of(kind).parameters
    if not {"prompt", "image"} <= taken or not signature_of(kind).answers_requests:
        return Relatives()
    if "mask_image" in taken:
        return Relatives(inpaint=kind)
    return Relatives(image=kind) if "image_guidance_scale" in taken else Relatives()


@cache
def signature_of(kind: str) -> Signature:
    """Return what the installed diffusers says of a pipeline class; nothing for a class that it does not have."""
    node = _class_named(kind)
    if node is None:
        return Signature(frozenset(), False)
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    call = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__call__"), None)
    if call is None:
        inherited = [signature_of(base) for base in sorted(bases) if base.endswith("Pipeline")]
        parameters = frozenset().union(*(each.parameters for each in inherited))
        return Signature(parameters, any(each.loads_loras for each in inherited) or _has_adapters(bases))
    given = (*call.args.args, *call.args.kwonlyargs)
    return Signature(frozenset(argument.arg for argument in given) - {"self"}, _has_adapters(bases))


def _has_adapters(bases: set[str]) -> bool:
    return any("LoraLoaderMixin" in base for base in bases)


def _class_named(kind: str) -> ast.ClassDef | None:
    if not kind.isidentifier():
        return None
    marks = (f"class {kind}(".encode(), f"class {kind}:".encode())
    for path in _sources():
        source = path.read_bytes()
        if any(mark in source for mark in marks):
            nodes = ast.parse(source).body
            return next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == kind), None)
    return None


@cache
def _sources() -> tuple[Path, ...]:
    spec = find_spec("diffusers")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return tuple(sorted(path for folder in folders for path in Path(folder, "pipelines").rglob("pipeline_*.py")))
