"""Models of transformers in real sizes with random weights, written without the time that drawing each number takes."""

from pathlib import Path
from typing import Any

BLOCK = 2**22
"""Numbers that are really drawn; every weight has them again and again."""


def random_model(path: Path, model_class: Any, config: Any, *beside: Any, dtype: str = "float32") -> Path:
    """Write a model of a class of transformers with its configuration, and what stands ``beside`` it."""
    import torch

    wanted = getattr(torch, dtype)
    with torch.device("meta"):
        model = model_class(config).to(wanted)
    fill(model, wanted)
    model.tie_weights()
    model.config.dtype = wanted
    model.save_pretrained(path)
    for each in beside:
        each.save_pretrained(path)
    return path


def fill(model: Any, dtype: Any) -> Any:
    """Give a model without any values some of a type of numbers, and return it."""
    import torch

    drawn = torch.randn(BLOCK, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(dtype)
    weights = {name: _filled(weight, drawn) for name, weight in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model


def _filled(weight: Any, drawn: Any) -> Any:
    """Return a weight: random where it is a matrix, ones where it is a vector, as norms and variances have them."""
    import torch

    if not weight.is_floating_point():
        return torch.zeros(weight.shape, dtype=weight.dtype)
    if weight.dim() < 2:
        return torch.ones(weight.shape, dtype=weight.dtype)
    repeated = drawn.repeat(-(-weight.numel() // drawn.numel()))
    return repeated[: weight.numel()].reshape(weight.shape).clone()
