"""Linear layers whose weights stand in memory as the kernels of a processor want them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from universal_text.side_by_side import Unsupported


class PreparedLinear(nn.Module):
    """A linear layer that has its weight ready for oneDNN, and brings its inputs to the dtype of the weight.

    PyTorch reads it as it is, or puts it in order anew at every call, and in float32 it leaves the product to a library
    that knows the processors of one maker. In bfloat16 this takes 1.3 to 1.5 times as long for 1 to 16 tokens, and 1.05
    to 1.3 times for hundreds; in float32, on a processor of another maker, 2.2 times.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """Take over the weight and the bias of a layer."""
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._dtype = layer.weight.dtype
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.data, None)

    def plain(self) -> nn.Linear:
        """Return the layer as it was."""
        layer = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        layer.weight = nn.Parameter(self._weight.to_dense(), requires_grad=False)
        layer.bias = self.bias
        return layer

    def forward(self, hidden: Tensor) -> Tensor:
        """Turn (..., in_features) into (..., out_features)."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            hidden.to(self._dtype), self._weight, self.bias, "none", [], ""
        )
        return found


def prepare(model: nn.Module, check: Callable[[], Any]) -> bool:
    """Prepare the linear layers of a model on a processor; return whether that could be.

    A layer that has its weight in common with an embedding is left as it is: prepared, it would take room of its own.
    ``check`` runs the model and raises Unsupported where its numbers are wrong; then the layers are put back.
    """
    backend: Any = torch.backends.mkldnn  # the library has no types here
    if not backend.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    shared = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    try:
        for parent, name, layer in _layers(model, nn.Linear):
            if _is_plain(layer) and id(layer.weight) not in shared:
                setattr(parent, name, PreparedLinear(layer))
        check()
    except (Unsupported, RuntimeError, AttributeError, TypeError, ValueError):
        for parent, name, prepared in _layers(model, PreparedLinear):
            setattr(parent, name, prepared.plain())
        return False
    return True


def leave_files(model: nn.Module) -> None:
    """Copy what is left of a model's weights out of the files of which most was prepared or narrowed.

    Weights in the format of their file are not read but mapped, and a file is mapped as a whole for as long as one of
    them stands in it: the pages of those that were replaced would count as the process's memory to its end.
    """
    for weight in (*model.parameters(), *model.buffers()):
        if type(weight) in (nn.Parameter, Tensor) and weight.device.type == "cpu" and weight.layout == torch.strided:
            weight.data = weight.data.clone()


_Layer = TypeVar("_Layer", bound=nn.Module)


def _layers(model: nn.Module, kind: type[_Layer]) -> Iterator[tuple[nn.Module, str, _Layer]]:
    """Yield the layers of a kind with their places; one that is replaced goes at once, for all together take room."""
    for parent in list(model.modules()):
        for name in [name for name, layer in parent.named_children() if isinstance(layer, kind)]:
            layer = getattr(parent, name)
            yield parent, name, layer
            del layer


def _is_plain(layer: nn.Linear) -> bool:
    if type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter:
        return False
    return layer.weight.device.type == "cpu" and layer.weight.dtype in (torch.float32, torch.bfloat16)
