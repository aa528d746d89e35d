"""OpenAI's endpoints: built-in plugins that answer register_routes, one file an endpoint family.

What other families of endpoints share with them is here by name.
"""

from universal_core.openai.embeddings import MOST_INPUTS, Embeddings
from universal_core.openai.generation import UsageBody
from universal_core.openai.image_inputs import Image, Source, look, source_of, sources_of
from universal_core.openai.inputs import InputUsage
from universal_core.openai.labels import (
    LONGEST_LABEL,
    MOST_LABELS,
    Labels,
    Positive,
    Predictions,
    given,
    labels_of,
    template_of,
)
from universal_core.openai.naming import naming, naming_pieces
from universal_core.openai.tools import NamedFunction, NamedTool, choice_of
from universal_core.openai.turns import NO_MEDIA, Media, completion

__all__ = [
    "LONGEST_LABEL",
    "MOST_INPUTS",
    "MOST_LABELS",
    "NO_MEDIA",
    "Embeddings",
    "Image",
    "InputUsage",
    "Labels",
    "Media",
    "NamedFunction",
    "NamedTool",
    "Positive",
    "Predictions",
    "Source",
    "UsageBody",
    "choice_of",
    "completion",
    "given",
    "labels_of",
    "look",
    "naming",
    "naming_pieces",
    "source_of",
    "sources_of",
    "template_of",
]
