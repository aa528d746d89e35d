"""Texts of different lengths side by side in one forward pass, without padding."""

from universal_text.packing.attention import Unsupported
from universal_text.packing.forward import PackedForward
from universal_text.packing.heads import pack
from universal_text.packing.linear import prepare

__all__ = ["PackedForward", "Unsupported", "pack", "prepare"]
