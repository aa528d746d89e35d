"""Causal language models: prompt -> engine (scheduler, runner, sampler) -> events.

Named here is what other plugins build on.
"""

from universal_text.causal.inputs import Inputs
from universal_text.causal.load import load_model, template_of, vocabulary_of
from universal_text.causal.model import WritingModel
from universal_text.causal.vocabulary import TokenizerVocabulary

__all__ = ["Inputs", "TokenizerVocabulary", "WritingModel", "load_model", "template_of", "vocabulary_of"]
