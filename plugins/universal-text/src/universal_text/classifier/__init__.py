"""Classifiers of texts, of pairs of texts, and of the words in them."""

from universal_text.classifier.claim import BACKENDS, claim_classifier
from universal_text.classifier.options import ClassifierOptions

__all__ = ["BACKENDS", "ClassifierOptions", "claim_classifier"]
