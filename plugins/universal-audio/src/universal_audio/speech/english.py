"""English text into phonemes, with misaki's dictionary, also where spaCy's English model is not to be had."""

import logging
from functools import cache
from typing import Any

import spacy
from misaki import en, espeak
from spacy.language import Language
from spacy.tokens import Doc

log = logging.getLogger(__name__)

PACKAGE = "en_core_web_sm"
REPOSITORY = "spacy/en_core_web_sm"
"""Where the hub has spaCy's small English model, which tells a noun from a verb."""

_PARTS = ["tok2vec", "tagger"]
_SECONDS = 5
_RULES = "universal_english_tags"
_PUNCTUATION = {
    **dict.fromkeys(".!?", "."),
    ",": ",",
    **dict.fromkeys((":", ";", "\u2014", "\u2013", "-", "\u2026", "..."), ":"),
    "(": "-LRB-",
    ")": "-RRB-",
    "\u201c": "``",
    **dict.fromkeys(('"', "'", "\u201d"), "''"),
}
_WORDS = {
    "to": "TO",
    **dict.fromkeys(("a", "an", "the"), "DT"),
    **dict.fromkeys(("in", "on", "of", "by", "for", "with", "from", "as", "vs", "vs."), "IN"),
}


class EnglishReader(en.G2P):  # type: ignore[misc]
    """misaki's English, told which tagger to use, instead of one that installs a package by itself."""

    def __init__(self, *, british: bool) -> None:
        self.version = None
        self.british = british
        self.nlp = tagger()
        self.lexicon = en.Lexicon(british)
        self.fallback = espeak.EspeakFallback(british=british)
        self.unk = ""


@cache
def tagger() -> Language:
    """Return spaCy's small English model: as it is installed, or cached, or from the hub; else rules in its place."""
    if spacy.util.is_package(PACKAGE):
        return spacy.load(PACKAGE, enable=_PARTS)
    found = _load_repository()
    if found is None:
        log.warning(
            "English is read without spaCy's %s, so words such as 'read' and 'live' may be pronounced wrongly; install "
            "it (`python -m spacy download %s`), or let the server reach the HuggingFace hub once",
            PACKAGE,
            PACKAGE,
        )
    return found or _ruled()


def _load_repository() -> Language | None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, snapshot_download

    wanted: dict[str, Any] = {"allow_patterns": ["*.cfg", "*.json", "tokenizer", "tok2vec/*", "tagger/*", "vocab/*"]}
    try:
        return spacy.load(snapshot_download(REPOSITORY, local_files_only=True, **wanted), enable=_PARTS)
    except (OSError, ValueError, KeyError):
        pass  # it is not in the cache, or not whole
    try:
        # Asked first, because a download that cannot reach the hub tries for half a minute.
        HfApi().model_info(REPOSITORY, timeout=_SECONDS)
        return spacy.load(snapshot_download(REPOSITORY, **wanted), enable=_PARTS)
    except (HTTPError, OSError, ValueError, KeyError):
        return None


def _ruled() -> Language:
    language = spacy.blank("en")
    language.add_pipe(_RULES)
    return language


@Language.component(_RULES)
def _tag(doc: Doc) -> Doc:
    """Give each token the part of speech that its form suggests: those that misaki's rules look at."""
    for token in doc:
        token.tag_ = _tag_of(token.text, first=token.i == 0)
    return doc


def _tag_of(text: str, *, first: bool) -> str:
    lower = text.lower()
    if text in _PUNCTUATION:
        return _PUNCTUATION[text]
    if text in en.CURRENCIES:
        return "$"
    if en.is_digit(text.replace(",", "").replace(".", "")):
        return "CD"
    if text == "I":
        return "PRP"
    if lower in _WORDS:
        return _WORDS[lower]
    return "NNP" if text[:1].isupper() and text.isalpha() and not first else "NN"
