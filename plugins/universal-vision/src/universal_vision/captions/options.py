"""The options of the ``vision-captions`` backend."""

import msgspec

from universal_core import DeviceOption


class CaptionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded and run."""

    device: DeviceOption = "auto"
