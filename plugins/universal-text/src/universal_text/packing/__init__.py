"""Texts of different lengths side by side in one forward pass, without padding."""

from universal_text.linear import prepare
from universal_text.packing.forward import PackedForward
from universal_text.packing.heads import pack
from universal_text.side_by_side import Unsupported

__all__ = ["PackedForward", "Unsupported", "pack", "prepare"]
