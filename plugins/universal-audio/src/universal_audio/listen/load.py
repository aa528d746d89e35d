"""Loads a Whisper for faster-whisper, converting it once where it is still in the format of transformers."""

import hashlib
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ctranslate2 import get_cuda_device_count, get_supported_compute_types
from faster_whisper import WhisperModel

from universal_audio.listen.options import WhisperOptions
from universal_core import LoadFailed, ModelInfo, choose_device, usable_cores

_COPIED = ("tokenizer.json", "preprocessor_config.json")


class Loaded(NamedTuple):
    """A model, and the bytes of its weights' file."""

    model: WhisperModel
    weights: int


def load_whisper(info: ModelInfo, options: WhisperOptions) -> Loaded:
    """Return the model of ``info``. Raises LoadFailed."""
    if info.path is None:
        raise LoadFailed(f"{info.id} is not on this machine.")
    folder = Path(info.path)
    if not (folder / "model.bin").is_file():
        folder = converted(info, Path(options.conversions).expanduser())
    if not (folder / "tokenizer.json").is_file():
        raise LoadFailed(f"{info.id} has no tokenizer.json; copy that of the model it was converted from beside it.")
    # The library tells of every recording at the level of the server's own news.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    device, index = pick_device(options.device)
    try:
        model = WhisperModel(
            str(folder),
            device=device,
            device_index=index,
            compute_type=pick_compute_type(options.compute_type, device),
            cpu_threads=options.threads or usable_cores(),
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        raise LoadFailed(f"{info.id} could not be loaded by CTranslate2: {error}") from None
    return Loaded(model, (folder / "model.bin").stat().st_size)


def pick_device(name: str) -> tuple[str, int]:
    """Return CTranslate2's device and its number: a GPU for ``auto`` where there is one. Raises LoadFailed."""
    chosen = choose_device(name, library="CTranslate2", cuda=get_cuda_device_count())
    kind, _, number = chosen.partition(":")
    return kind, int(number or 0)


def pick_compute_type(name: str, device: str) -> str:
    """Return the numbers to compute with; ``auto`` is int8 on a processor and float16 on a GPU that has it."""
    if name != "auto":
        return name
    if device == "cpu":
        return "int8"
    return "float16" if "float16" in get_supported_compute_types(device) else "float32"


def converted(info: ModelInfo, folder: Path) -> Path:
    """Return the folder of a model in CTranslate2's format with int8 weights, made now if it is not there.

    Its name has the place and the revision, or the age, of what it was made from.
    """
    key = f"{info.path}@{info.revision or info.created}"
    name = re.sub(r"[^\w.-]+", "_", info.id.strip("/."))[-64:]
    target = folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not (target / "model.bin").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Complete or not there at all: what is interrupted leaves a folder that nobody looks at.
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        try:
            _convert(info, unfinished / "model")
            (unfinished / "model").replace(target)
        except OSError as error:
            if not (target / "model.bin").is_file():
                raise LoadFailed(f"{info.id} could not be converted: {error}") from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _convert(info: ModelInfo, target: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    source = Path(info.path or "")
    if not (source / "tokenizer.json").is_file():
        raise LoadFailed(f"{info.id} has no tokenizer.json, which faster-whisper needs.")
    present = [name for name in _COPIED if (source / name).is_file()]
    try:
        TransformersConverter(str(source), copy_files=present).convert(str(target), quantization="int8")
    except (RuntimeError, ValueError) as error:
        raise LoadFailed(f"{info.id} could not be converted to CTranslate2's format: {error}") from None
