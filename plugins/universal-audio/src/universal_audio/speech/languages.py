"""Text into phonemes, in every language that misaki knows."""

import importlib
import logging
import warnings
from collections.abc import Callable
from typing import Any

import msgspec

from universal_core import BadRequest, TaskNotSupported

Reader = Callable[[str], str]
"""Returns the phonemes of a text."""


class Language(msgspec.Struct, frozen=True):
    """A language: what opens its reader, and the extra of misaki that has its dictionary, None where none is needed."""

    open: Callable[[], Reader]
    extra: str | None = None


def open_reader(code: str) -> Reader:
    """Return the reader of a language of LANGUAGES. Raises TaskNotSupported where its dictionary is not installed."""
    language = LANGUAGES[code]
    try:
        with warnings.catch_warnings():
            # misaki, spaCy and phonemizer use what Python and PyTorch have deprecated: nobody here can help that.
            warnings.simplefilter("ignore")
            return language.open()
    except (ImportError, LookupError, OSError, RuntimeError) as error:
        advice = f'`pip install "misaki[{language.extra}]"`' if language.extra else "`pip install espeakng-loader`"
        raise TaskNotSupported(
            f"voice: the language {code} needs {advice} on the server ({type(error).__name__}: {error})", param="voice"
        ) from None


# It counts the words that it reads, and warns where one is spoken as two.
logging.getLogger("phonemizer").setLevel(logging.ERROR)


def resolve(code: str) -> str:
    """Return the key of LANGUAGES that a code such as ``en``, ``EN-gb`` or ``fr`` means. Raises BadRequest."""
    wanted = code.strip().replace("_", "-").lower()
    for known in LANGUAGES:
        if wanted == known.lower():
            return known
    for known in LANGUAGES:
        if wanted.partition("-")[0] == known.partition("-")[0]:
            return known
    raise BadRequest(f"language: expected one of {', '.join(LANGUAGES)}, got {code!r}", param="language")


def _english(*, british: bool) -> Callable[[], Reader]:
    def open() -> Reader:
        from universal_audio.speech.english import EnglishReader

        return _phonemes_of(EnglishReader(british=british))

    return open


def _espeak(language: str) -> Callable[[], Reader]:
    def open() -> Reader:
        from misaki.espeak import EspeakG2P

        return _phonemes_of(EspeakG2P(language=language))

    return open


def _misaki(module: str, name: str) -> Callable[[], Reader]:
    return lambda: _phonemes_of(getattr(importlib.import_module(f"misaki.{module}"), name)())


def _phonemes_of(reader: Callable[[str], tuple[str, Any]]) -> Reader:
    return lambda text: reader(text)[0] if text.strip() else ""


def _hebrew() -> Reader:
    reader: Any = importlib.import_module("misaki.he").HEG2P()
    return lambda text: str(reader(text))


LANGUAGES: dict[str, Language] = {
    "en-US": Language(_english(british=False)),
    "en-GB": Language(_english(british=True)),
    "es": Language(_espeak("es")),
    "fr-FR": Language(_espeak("fr-fr")),
    "hi": Language(_espeak("hi")),
    "it": Language(_espeak("it")),
    "pt-BR": Language(_espeak("pt-br")),
    "ja": Language(_misaki("ja", "JAG2P"), "ja"),
    "zh": Language(_misaki("zh", "ZHG2P"), "zh"),
    "ko": Language(_misaki("ko", "KOG2P"), "ko"),
    "vi": Language(_misaki("vi", "VIG2P"), "vi"),
    "he": Language(_hebrew, "he"),
}
