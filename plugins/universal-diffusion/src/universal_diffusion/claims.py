"""Which models this plugin offers to run, told from model_index.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_diffusion.options import DiffusionOptions

BACKEND = Backend(
    name="diffusion",
    model="universal_diffusion.model:DiffusionModel",
    tasks=("generate_image", "edit_image", "vary_image"),
    options=DiffusionOptions,
    engine="pytorch",
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a pipeline, None for anything else."""
    return None
