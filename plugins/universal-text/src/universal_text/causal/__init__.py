"""Causal language models: prompt -> engine (scheduler, runner, sampler) -> events.

Named here is what other plugins build on.
"""

from universal_text.causal.inputs import Inputs
from universal_text.causal.load import load, vocabulary_of
from universal_text.causal.model import CausalModel, WritingModel
from universal_text.causal.vocabulary import TokenizerVocabulary

__all__ = ["CausalModel", "Inputs", "TokenizerVocabulary", "WritingModel", "load", "vocabulary_of"]
