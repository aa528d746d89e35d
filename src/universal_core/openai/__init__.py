"""OpenAI's endpoints: built-in plugins that answer register_routes, one file an endpoint family.

What other families of endpoints share with them is here by name.
"""

from universal_core.openai.embeddings import MOST_INPUTS, Embeddings
from universal_core.openai.generation import UsageBody
from universal_core.openai.image_inputs import Image, Source, look, source_of, sources_of
from universal_core.openai.inputs import InputUsage

__all__ = ["MOST_INPUTS", "Embeddings", "Image", "InputUsage", "Source", "UsageBody", "look", "source_of", "sources_of"]
