"""The voices of a Kokoro model: their names and languages, told from the names of their files, and mixes of them."""

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

from universal_core import BadRequest, Voice

DEFAULT = "af_heart"

FIRST = (
    *(DEFAULT, "af_bella", "af_nicole", "af_sarah", "af_sky", "am_adam", "am_michael"),
    *("bf_emma", "bf_isabella", "bm_george", "bm_lewis"),
)
"""The voices that lists begin with."""

LANGUAGES = {
    "a": ("en-US", "American"),
    "b": ("en-GB", "British"),
    "e": ("es", "Spanish"),
    "f": ("fr-FR", "French"),
    "h": ("hi", "Hindi"),
    "i": ("it", "Italian"),
    "j": ("ja", "Japanese"),
    "p": ("pt-BR", "Brazilian Portuguese"),
    "z": ("zh", "Chinese"),
}
"""What the first letter of a voice stands for."""

_SEXES = {"f": "Female", "m": "Male"}
_PART = re.compile(r"^([\w.-]+)(?:\((\d+(?:\.\d+)?|\.\d+)\))?$")


class Share(msgspec.Struct, frozen=True):
    """A voice in a mix, and its weight there; the weights of a mix add up to 1."""

    voice: str
    weight: float


def describe(id: str) -> Voice:
    """Return what people call a voice, and its language: ``af_heart`` is Heart (American Female), en-US."""
    prefix, _, rest = id.partition("_")
    known = LANGUAGES.get(prefix[:1]) if len(prefix) == 2 else None
    name = (rest or id).replace("_", " ").title()
    if known is None:
        return Voice(id=id, name=name)
    code, people = known
    return Voice(id=id, name=f"{name} ({people} {_SEXES.get(prefix[1], 'Voice')})", language=code)


def ordered(ids: Iterable[str]) -> list[str]:
    """Return voices in the order of lists."""
    present = set(ids)
    return [id for id in FIRST if id in present] + sorted(present - set(FIRST))


def parse_mix(text: str, known: Sequence[str]) -> list[Share]:
    """Return the voices of a mix such as ``af_heart(2)+am_adam(1)``, or of a single name.

    Raises BadRequest for a voice that is not known, with those that are like it, and for weights that cannot be.
    """
    shares = [_share(part.strip(), text, known) for part in text.split("+")]
    total = sum(share.weight for share in shares)
    if total <= 0:
        raise BadRequest(f"voice: the weights of {text!r} are all 0; give one of them more", param="voice")
    return [Share(share.voice, share.weight / total) for share in shares]


def _share(part: str, text: str, known: Sequence[str]) -> Share:
    match = _PART.match(part)
    if match is None:
        raise BadRequest(
            f"voice: expected a name, or names and weights such as af_heart(2)+am_adam(1), got {text!r}", param="voice"
        )
    name, weight = match[1], match[2]
    if name not in known:
        raise BadRequest(f"voice: there is no {name!r}{near(name, known)}", param="voice")
    return Share(name, float(weight) if weight else 1.0)


def near(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about a voice that does not exist: which are like it, or which there are."""
    close = [id for id in known if name.lower() in id.lower()]
    close += [id for id in difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5) if id not in close]
    if close:
        return f"; did you mean {' or '.join(close[:5])}? GET /v1/audio/voices lists all"
    shown = ", ".join(known[:11]) + (", …" if len(known) > 11 else "")
    return f"; there are {shown}; GET /v1/audio/voices lists all"
