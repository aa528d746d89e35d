"""The options of the ``diffusion`` backend."""

import msgspec

from universal_core import DeviceOption


class DiffusionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pipeline is loaded and run."""

    device: DeviceOption = "auto"
