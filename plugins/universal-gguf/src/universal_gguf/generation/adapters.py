"""LoRA adapters over one model: their files, checked before llama.cpp sees them, and the names that requests use."""

from collections.abc import Mapping
from pathlib import Path

from universal_core import AdapterPlace, LoadFailed, ModelNotFound, ModelRef
from universal_core.repositories import find_place
from universal_gguf.header import Header, read_header
from universal_gguf.library import Weights
from universal_gguf.names import canonical, is_gguf, quantization_of

Options = Mapping[str, str | AdapterPlace]

_PATTERNS = ("*.gguf",)
_OF_PEFT = "adapter_config.json"


class Adapters:
    """The adapters of a model, by the names that requests have for them."""

    def __init__(self, weights: Weights, header: Header, options: Options | None) -> None:
        """Load the adapters over the weights; ``header`` is the model's.

        Raises LoadFailed, which names the one at fault and what is wrong with it.
        """
        for name, option in (options or {}).items():
            place = AdapterPlace.of(option)
            try:
                file = _file(place.path)
                _check(read_header(file), header)
            except (LoadFailed, ModelNotFound) as error:
                raise LoadFailed(f"adapter {name}: {error.message}") from error
            weights.add_adapter(name, str(file), place.scale)
        self.names = tuple(weights.adapters)


def _file(place: str) -> Path:
    """Return the GGUF file that a path or ``org/name[@revision][:file or quantization]`` names."""
    ref = ModelRef.parse(place)
    whole = ref.is_path or Path(place).expanduser().exists() or ref.variant is None
    found = find_place(place if whole else place.strip().removesuffix(f":{ref.variant}"), _PATTERNS)
    if found.is_file():
        return found
    files = sorted(path for path in found.iterdir() if is_gguf(path.name))
    fitting = files if whole else [path for path in files if _is_meant(path, ref.variant or "")]
    if len(fitting) == 1:
        return fitting[0]
    if not files and (found / _OF_PEFT).is_file():
        raise LoadFailed(
            f"{place} has an adapter of peft: convert it with llama.cpp's convert_lora_to_gguf.py (python "
            f"convert_lora_to_gguf.py --base MODEL_FOLDER {place}) and name the file that it writes"
        )
    names = ", ".join(path.name for path in files)
    raise LoadFailed(
        f"expected one GGUF file in {place}, found {names}; name one of them, by its path or as repository:file"
        if files
        else f"there is no GGUF file in {place}"
    )


def _is_meant(file: Path, variant: str) -> bool:
    names = (file.name.lower(), file.stem.lower())
    return variant.lower() in names or quantization_of(file.name) == canonical(variant)


def _check(found: Header, model: Header) -> None:
    """Refuse what is no plain LoRA adapter of a model of this architecture."""
    name = Path(found.path).name
    kind = found.text("general.type")
    if kind != "adapter":
        raise LoadFailed(f"{name} is no adapter: its header has general.type {kind or 'model'!r}")
    if (adapter := found.text("adapter.type")) != "lora":
        raise LoadFailed(f"{name} is an adapter of the type {adapter!r}, and only 'lora' can be used")
    if "adapter.alora.invocation_tokens" in found.metadata:
        raise LoadFailed(f"{name} is an aLoRA, which acts from certain tokens on; only plain LoRA can be used")
    if found.architecture != model.architecture:
        raise LoadFailed(f"{name} was made for the architecture {found.architecture}, not for {model.architecture}")
