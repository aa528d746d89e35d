"""From what an image encoder answers with to one vector for each picture."""

from typing import Any

from safetensors import safe_open
from torch import Tensor

from universal_core import LoadFailed, ModelInfo
from universal_text.files import weight_files
from universal_vision.encoders.options import PoolingMode
from universal_vision.loading import Inputs

_CLASS_TOKENS = {"cls_token", "class_embedding", "class_token"}
POOLER = "pooler"


class Embedder:
    """An image encoder and its pooling: inputs to vectors ``[pictures, size]``."""

    def __init__(self, model: Any, wanted: PoolingMode | None, *, has_pooler: bool) -> None:
        """``has_pooler`` is whether what the model's pooler makes is worth anything, should it have one."""
        parameters = {name.rpartition(".")[2] for name, _ in model.named_parameters()}
        self._model = model
        self._wanted = wanted
        self._has_pooler = has_pooler
        self._has_class = bool(parameters & _CLASS_TOKENS)
        registers = getattr(model.config, "num_register_tokens", None) or 0
        self._before_patches = self._has_class + ("distillation_token" in parameters) + registers

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the vector of each picture; raises LoadFailed for a pooling that the model does not have."""
        output = self._model(**inputs)
        modes: tuple[PoolingMode, ...] = (self._wanted,) if self._wanted else ("pooler", "cls", "mean")
        mode = next((mode for mode in modes if self._can(mode, output)), None)
        if mode is None:
            raise LoadFailed(f"pooling is {self._wanted!r}, which this model does not have; leave it out")
        if mode == "pooler":
            return output.pooler_output.flatten(1)  # type: ignore[no-any-return]
        hidden: Tensor = output.last_hidden_state
        if mode == "cls":
            return hidden[:, 0]
        # Networks of convolutions answer with maps [pictures, channels, height, width], transformers with tokens.
        return hidden.mean((2, 3)) if hidden.dim() == 4 else hidden[:, self._before_patches :].mean(1)

    def _can(self, mode: PoolingMode, output: Any) -> bool:
        if mode == "pooler":
            return self._has_pooler and getattr(output, "pooler_output", None) is not None
        return mode == "mean" or (self._has_class and output.last_hidden_state.dim() == 3)


def pooler_is_trained(model: Any, info: ModelInfo) -> bool:
    """Say whether a model's pooler has no weights or finds them in the model's files.

    Checkpoints such as those of DINO lack them: transformers then makes a pooler of random numbers.
    """
    if not any(POOLER in name.split(".") for name, _ in model.named_parameters()):
        return True
    return any(
        POOLER in name.split(".")
        for file in weight_files(info)
        if file.endswith(".safetensors")
        for name in _names_in(f"{info.path}/{file}")
    )


def _names_in(path: str) -> list[str]:
    with safe_open(path, "pt") as tensors:
        return list(tensors.keys())
