"""What models take in memory, told from their files and options before anything is loaded.

No machine-learning library is imported: the server asks. The figures that no file tells (what libraries keep for
themselves, how many activations are alive at once) are measured ones: ``python -m bench memory`` compares them with
what processes really take.
"""

from universal_text.estimates.checkpoint import loaded_bytes, number_size, saved_format, weights_of
from universal_text.estimates.process import Overhead, cheaper, overhead
from universal_text.estimates.reading import estimate_reading
from universal_text.estimates.writing import Beside, estimate_causal, estimate_writing

__all__ = [
    "Beside",
    "Overhead",
    "cheaper",
    "estimate_causal",
    "estimate_reading",
    "estimate_writing",
    "loaded_bytes",
    "number_size",
    "overhead",
    "saved_format",
    "weights_of",
]
