"""Which models the ``vision-regions`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.claiming import PRELOAD, offer
from universal_vision.regions.kinds import Kind, kind_of
from universal_vision.regions.options import RegionOptions

BACKEND = Backend(
    name="vision-regions",
    model="universal_vision.regions.model:RegionModel",
    tasks=("detect", "segment", "estimate_depth"),
    options=RegionOptions,
    preload=PRELOAD,
    engine="pytorch",
)

_DOES = {"detect": "finds things", "segment": "makes masks", "estimate_depth": "estimates depths"}


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model that finds things, makes masks or estimates depths; None for anything else."""
    kind = kind_of(info)
    if kind is None:
        return None
    return offer(
        info,
        BACKEND,
        tasks=kind.tasks,
        reason=_reason(kind),
        slots=RegionOptions().slots,
        fields=kind.fields,
    )


def _reason(kind: Kind) -> str:
    does = " and ".join(_DOES[task] for task in kind.tasks)
    return f"{kind.name} {does}" + (" that the request describes" if kind.open else "")
