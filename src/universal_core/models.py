"""What a model is called, what is cheaply known of it, and who offers to run it."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from universal_core.sizes import lasting, readable

_DRIVE = re.compile(r"^[A-Za-z]$")


class ModelRef(msgspec.Struct, frozen=True):
    """What the caller typed, taken apart: ``name[@revision][:variant]``, or a path."""

    text: str
    name: str
    variant: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Split a model name; the variant is what follows the last colon, the revision what follows the last ``@``."""
        name, variant, revision = text.strip(), None, None
        head, colon, tail = name.rpartition(":")
        if colon and tail and not re.search(r"[/\\]", tail) and not _DRIVE.match(head):
            name, variant = head, tail
        head, at, tail = name.rpartition("@")
        if at and head and tail and not cls._is_path(name):
            name, revision = head, tail
        return cls(text=text, name=name, variant=variant, revision=revision)

    @staticmethod
    def _is_path(name: str) -> bool:
        return name.startswith(("/", "./", "../", "~", "\\")) or bool(re.match(r"^[A-Za-z]:[/\\]", name))

    @property
    def is_path(self) -> bool:
        """Whether the caller wrote a file-system path rather than a model's name."""
        return self._is_path(self.name)


class ModelFile(msgspec.Struct, frozen=True):
    """One file of a model: its name relative to the model's folder, and its size in bytes."""

    name: str
    size: int


class OnDisk(msgspec.Struct, frozen=True):
    """What a model takes on this machine: its bytes, each file counted once, and when one of them was last read.

    ``used`` is in seconds since 1970; ``whole`` is False while a part of the model is still to be downloaded.
    """

    size: int
    used: int
    whole: bool = True


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a source knows of a model without loading it.

    ``documents`` holds the small JSON files (config.json, modules.json, ...) already parsed, so that a claim
    touches neither disk nor network. ``path`` is None while the files are not on this machine. ``places`` has the
    paths of those files, by their names, that are not below it under these names.
    """

    id: str
    ref: ModelRef
    source: str
    path: str | None = None
    revision: str | None = None
    files: tuple[ModelFile, ...] = ()
    documents: dict[str, Any] = {}
    created: int = 0
    on_disk: OnDisk | None = None
    places: dict[str, str] = {}

    @property
    def config(self) -> dict[str, Any]:
        """The parsed config.json, empty where there is none."""
        found = self.documents.get("config.json")
        return found if isinstance(found, dict) else {}

    @property
    def architectures(self) -> tuple[str, ...]:
        """The class names in config.json."""
        names = self.config.get("architectures") or ()
        return tuple(name for name in names if isinstance(name, str))

    def matching(self, *patterns: str) -> tuple[ModelFile, ...]:
        """Return the files whose name matches one of the shell patterns."""
        return tuple(f for f in self.files if any(fnmatchcase(f.name, pattern) for pattern in patterns))

    def place_of(self, name: str) -> Path:
        """Return where one of the files is on this machine; beside the model, where that is a single file."""
        path = Path(self.path or "")
        return Path(self.places.get(name) or (path.parent if path.is_file() else path) / name)

    def size_of(self, *patterns: str) -> int:
        """Return the bytes of all matching files."""
        return sum(f.size for f in self.matching(*patterns))


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a backend that has none."""


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A way of running models, as a plugin declares it.

    ``model`` is the import path ``package.module:Class`` of the class with ``__init__(info, options)`` and one
    method per task; a parameter ``report`` takes a function to tell Progress to while it loads, and one named
    ``memory`` the MemoryEstimate that has been set aside. ``preload`` names the modules that the nursery imports before
    it forks workers; importing them must not touch an accelerator.
    ``fork=False`` asks for a fresh interpreter per worker instead. ``engine`` is the library underneath (``pytorch``,
    ``llama.cpp``), which RUNTIME_BACKEND can prefer. ``spread`` are the options that share a model out among all
    accelerators where no single one holds it; without any it is never shared out.
    """

    name: str
    model: str
    tasks: tuple[str, ...]
    options: type[msgspec.Struct] = NoOptions
    preload: tuple[str, ...] = ()
    fork: bool = True
    engine: str = ""
    spread: dict[str, Any] = {}


class Smaller(msgspec.Struct, frozen=True):
    """Another way to run a model, that takes less: what to ask for or to configure, in words, and all bytes of it."""

    advice: str
    total: int


class MemoryEstimate(msgspec.Struct, frozen=True):
    """Bytes that a model is expected to take at most, loaded and at work.

    ``weights``, ``working`` (the largest step's activations) and ``cache`` (keys and values, by context and slots) are
    where the model runs. ``host`` is in the machine's own memory wherever that is: the process and its libraries.
    What does not fit on an accelerator may stay in the machine's memory where the model is ``divisible``. ``spare`` is
    how much larger a cache may be that is worth it only where nobody else needs the memory. ``smaller`` tells what
    would take less, largest first.
    """

    weights: int = 0
    working: int = 0
    cache: int = 0
    host: int = 0
    spare: int = 0
    divisible: bool = False
    smaller: tuple[Smaller, ...] = ()

    @property
    def total(self) -> int:
        """All bytes together."""
        return self.weights + self.working + self.cache + self.host


class Variant(msgspec.Struct, frozen=True):
    """One of several models in one place, such as a quantization: what it is called, and which files it is."""

    name: str
    files: tuple[str, ...]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's offer to run a model.

    ``rank`` decides between claims (higher wins, 50 is usual), then the backend's name. ``fields`` are the
    request fields honoured beyond the basic ones. ``files`` are the shell patterns of the files that the
    backend needs, so that no others are downloaded. ``slots`` is how many jobs may run at once. ``variants`` are all
    that the model's place has for ``name:variant`` to choose from.
    """

    backend: str
    tasks: tuple[str, ...]
    reason: str
    rank: int = 50
    memory: MemoryEstimate = MemoryEstimate()
    slots: int = 1
    fields: tuple[str, ...] = ()
    files: tuple[str, ...] = ("*",)
    variants: tuple[Variant, ...] = ()


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """How far a download has come; what was on this machine before counts as done.

    ``bytes_per_second`` is that of the last seconds, None before there are any; ``seconds_left`` follows from it.
    """

    files: int
    files_done: int
    bytes: int
    bytes_done: int
    bytes_per_second: float | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        told = [f"of {readable(self.bytes)}"]
        if self.bytes_per_second is not None:
            told.append(f"{readable(self.bytes_per_second)}/s")
        if self.seconds_left is not None:
            told.append(f"{lasting(self.seconds_left)} left")
        return ", ".join(told)


class Progress(msgspec.Struct, frozen=True):
    """How far a load has come: what is being done, and the share of it in 0..1 where that is known.

    ``transfer`` tells more where files are being downloaded.
    """

    stage: str
    fraction: float | None = None
    transfer: Transfer | None = None

    def __str__(self) -> str:
        share = "" if self.fraction is None else f" {self.fraction:.0%}"
        return f"{self.stage}{share}" + ("" if self.transfer is None else f" {self.transfer}")
