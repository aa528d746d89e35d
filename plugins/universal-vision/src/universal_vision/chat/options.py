"""The options of the ``vision-chat`` backend."""

import msgspec

from universal_core import DeviceOption


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded and run."""

    device: DeviceOption = "auto"
