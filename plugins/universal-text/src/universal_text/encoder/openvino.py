"""OpenVINO in the place of PyTorch: it runs an encoder of transformers on a processor, several of its steps as one."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedModel

from universal_core import LoadFailed
from universal_core.pytorch import use_threads
from universal_text.encoder.network import Head, Network, PaddedNetwork

Forward = Callable[[Tensor, Tensor], Tensor]

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_INSTEAD = "or leave the option engine out"

# Rows that a converted model is tried with, in tokens; neither is as long as the one that its steps were recorded from.
_RECORDED, _TRIED = 8, (3, 21)
# What the hidden states of a token must have in common with PyTorch's, as a cosine. In bfloat16 those of MiniLM have
# 0.9999 and of random weights 0.999; a model whose recorded steps hold for one shape alone falls far below.
_ALIKE = {torch.float32: 0.9999, torch.bfloat16: 0.99}


def check_openvino(device: torch.device, dtype: torch.dtype) -> None:
    """Raise LoadFailed, which says what to do, where OpenVINO is not installed or does not run in this way."""
    if device.type != "cpu":
        raise LoadFailed(
            f'engine = "openvino" computes on the processor, and the device is {device}: set device = "cpu", {_INSTEAD}'
        )
    if dtype not in _PRECISIONS:
        raise LoadFailed(
            f'engine = "openvino" computes in float32 or bfloat16, not in {dtype}: change the option dtype, {_INSTEAD}'
        )
    if find_spec("openvino") is None:
        raise LoadFailed(
            'engine = "openvino" needs the package openvino, which is not installed here: '
            f'pip install "universal-text[openvino]", {_INSTEAD}'
        )


def open_openvino(
    model: PreTrainedModel, head: Head, *, dtype: torch.dtype, filler: int, budget: int, threads: int | None = None
) -> Network:
    """Return OpenVINO with a model of transformers whose weights are in float32; ``filler`` is the id of its padding.

    ``dtype`` is what is computed in; without ``threads`` these are as many as there are cores for this process now.
    The model is not needed any more afterwards. Raises LoadFailed where OpenVINO cannot run it, or runs it wrongly.
    """
    forward = openvino_forward(model, dtype, filler=filler, threads=use_threads(threads))
    return PaddedNetwork(forward, head, filler=filler, budget=budget, device=model.device)


def openvino_forward(model: PreTrainedModel, dtype: torch.dtype, *, filler: int, threads: int) -> Forward:
    """Return what turns ids and mask, both (rows, tokens), into hidden states (rows, tokens, size) on the processor.

    The mask is 1 where there is a token. A result is valid until the next call, and calls come one at a time.
    The rest is as for ``open_openvino``.
    """
    openvino = _library()
    kind = model.config.model_type
    inner = _HiddenStates(model)
    try:
        forward = _compiled(openvino, _converted(openvino, inner, filler), dtype, threads)
        _check_alike(inner, forward, dtype, filler)
    except _failures(openvino) as error:
        words = " ".join(str(error).split())[:300]
        raise LoadFailed(f"OpenVINO cannot run {kind} ({words}): use another model, {_INSTEAD}") from error
    return forward


class _HiddenStates(nn.Module):
    """A model of transformers, cut to what is converted."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden


def _library() -> Any:
    """Return the package, without its habit of telling Google Analytics about each import and each conversion.

    The package that does so belongs to its requirements; where it cannot be imported, openvino uses a stub instead.
    """
    cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def _failures(openvino: Any) -> tuple[type[Exception], ...]:
    """Return what recording, converting, compiling and running may raise."""
    names = ("GeneralFailure", "NotImplementedFailure", "OpConversionFailure", "OpValidationFailure")
    own: tuple[type[Exception], ...] = tuple(getattr(openvino.frontend, name) for name in names)
    return (*own, RuntimeError, TypeError, ValueError)


def _converted(openvino: Any, inner: nn.Module, filler: int) -> Any:
    """Return the model in OpenVINO's form, for any number of rows and tokens."""
    anything = [-1, -1]
    with _own_log(), warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        # Recording warns wherever Python looks at a shape; whether that did harm is tried afterwards.
        warnings.simplefilter("ignore")
        return openvino.convert_model(
            inner,
            example_input=_example((_RECORDED, _RECORDED // 2), filler),
            input=[(name, anything, openvino.Type.i64) for name in ("ids", "mask")],
        )


@contextmanager
def _own_log() -> Iterator[None]:
    """Keep the log as it is: a conversion that fails leaves it with a filter, and without its warnings."""
    root = logging.getLogger()
    level, filters = root.level, list(root.filters)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:] = filters


def _compiled(openvino: Any, converted: Any, dtype: torch.dtype, threads: int) -> Forward:
    settings: Mapping[str, Any] = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Other workers compute on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    if compiled.get_property("INFERENCE_PRECISION_HINT").to_string() != _PRECISIONS[dtype]:
        raise ValueError(f"this processor does not compute in {dtype}; set dtype = 'float32'")
    request = compiled.create_infer_request()

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        request.infer([ids.numpy(), mask.numpy()], share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data)

    return forward


def _check_alike(inner: nn.Module, forward: Forward, dtype: torch.dtype, filler: int) -> None:
    """Raise ValueError where the hidden states of tokens are not those of PyTorch."""
    example = _example(_TRIED, filler)
    there = example["mask"].bool()
    with torch.inference_mode():
        wanted = inner(**example)[there].float()
        found = forward(example["ids"], example["mask"])[there]
    worst = cosine_similarity(wanted, found, dim=-1).min().item()
    if not worst >= _ALIKE[dtype]:  # Nor may it be no number.
        raise ValueError(f"its numbers are not those of PyTorch, with a cosine of {worst:.4f} in {dtype}")


def _example(lengths: tuple[int, ...], filler: int) -> dict[str, Tensor]:
    """Return ids and mask, both (rows, longest), of rows of these lengths; the ids are small ones."""
    mask = torch.tensor([[int(place < length) for place in range(max(lengths))] for length in lengths])
    ids = torch.arange(mask.numel()).reshape(mask.shape) % 16
    return {"ids": torch.where(mask.bool(), ids + (ids == filler), filler), "mask": mask}
