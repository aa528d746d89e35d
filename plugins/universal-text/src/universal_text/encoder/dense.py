"""The layers behind the pooling."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from universal_core import LoadFailed
from universal_text.activations import activation_of
from universal_text.encoder.layout import Dense, Layout, Normalize


class DenseLayer(nn.Module):
    """A linear layer with an activation, and a path around both where the model has one; in float32."""

    def __init__(self, dense: Dense) -> None:
        """Read the weights; raises LoadFailed where they do not fit the layer's configuration."""
        super().__init__()
        self.linear = nn.Linear(dense.inputs, dense.outputs, bias=dense.bias)
        self.activation = activation_of(dense.activation)
        self.residual: nn.Module | None = None
        if dense.residual:
            same = dense.inputs == dense.outputs
            self.residual = nn.Identity() if same else nn.Linear(dense.inputs, dense.outputs, bias=False)
        try:
            self.load_state_dict(_weights(Path(dense.folder)))
        except RuntimeError as error:
            raise LoadFailed(f"The weights in {dense.folder} do not fit its config.json: {error}.") from error

    def forward(self, vectors: Tensor) -> Tensor:
        """Turn (batch, inputs) into (batch, outputs)."""
        out: Tensor = self.activation(self.linear(vectors))
        return out if self.residual is None else out + self.residual(vectors)


class Unit(nn.Module):
    """Scales vectors to length one."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Turn (batch, size) into the same of length one."""
        return normalize(vectors, dim=-1)


def build_steps(layout: Layout) -> nn.Sequential:
    """Return what follows the pooling, less a last normalizing: that is up to each request."""
    steps = layout.steps
    if steps and isinstance(steps[-1], Normalize):
        steps = steps[:-1]
    layers = (DenseLayer(step) if isinstance(step, Dense) else Unit() for step in steps)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        found = load_file(folder / "model.safetensors")
    elif (folder / "pytorch_model.bin").is_file():
        found = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    else:
        raise LoadFailed(f"{folder} has neither model.safetensors nor pytorch_model.bin.")
    return {name: tensor.float() for name, tensor in found.items()}
