"""Which models the ``vision-regions`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.regions.options import RegionOptions

BACKEND = Backend(
    name="vision-regions",
    model="universal_vision.regions.model:RegionModel",
    tasks=("detect", "segment", "estimate_depth"),
    options=RegionOptions,
    engine="pytorch",
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    return None
