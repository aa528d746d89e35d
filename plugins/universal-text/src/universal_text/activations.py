"""Activations by the names that sentence-transformers writes into its files."""

from torch import nn

from universal_core import LoadFailed

# A class is looked up in this table and never imported by the name in the file, which could name anything.
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.ELU,
        nn.GELU,
        nn.Hardswish,
        nn.Identity,
        nn.LeakyReLU,
        nn.Mish,
        nn.ReLU,
        nn.ReLU6,
        nn.SELU,
        nn.SiLU,
        nn.Sigmoid,
        nn.Softplus,
        nn.Tanh,
    )
}


def activation_of(name: str) -> nn.Module:
    """Return what a full name stands for, such as torch.nn.modules.activation.Tanh; raises LoadFailed."""
    package, _, kind = name.rpartition(".")
    if not f"{package}.".startswith("torch.nn.") or kind not in _ACTIVATIONS:
        raise LoadFailed(
            f"The activation {name!r} is not known; those of torch.nn that are: {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[kind]()
