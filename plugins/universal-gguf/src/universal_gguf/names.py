"""What the names of GGUF files say: the quantization, the part of a split model, and what is no model at all."""

import re

import msgspec

_SUFFIX = re.compile(r"\.gguf$", re.IGNORECASE)
_PART = re.compile(r"[-.](\d{1,5})-of-(\d{1,5})$", re.IGNORECASE)

# After these numbers of bits come, with "_" or "-" between them: a plain format (Q4_0, Q4_0_4_4), a K format with its
# size (Q4_K, Q4_K_M), or an I format with its own (IQ4_NL, IQ3_XXS).
_SIZES = "XXS|XS|XXL|XL|S|M|L|P"
_QUANTIZATION = re.compile(
    rf"""(?<![A-Za-z0-9])
    (?:(?P<dynamic>UD)[-_])?
    (?P<name>
        B?FP?(?:16|32|64)
      | [IT]?Q[1-9][-_](?:
            K(?:[-_](?:{_SIZES}))?(?:[-_][48][-_]8)?
          | K(?:SS|S|T|L)
          | NL(?:[-_]4[-_]4|[-_]XL)? | {_SIZES}
          | [01](?:[-_][48][-_][48]|[-_](?:L|XL|R[48]))?
        )
      | (?:MX|NV)FP4(?:[-_]MOE)?
      | I?Q[1-9]
    )
    (?![A-Za-z0-9])(?![-_](?:{_SIZES})(?![A-Za-z0-9]))""",
    re.IGNORECASE | re.VERBOSE,
)
_IMPORTANCE = re.compile(r"^i1[-_.]", re.IGNORECASE)
_PROJECTOR = re.compile(r"mm-?proj", re.IGNORECASE)
_VOCABULARY = re.compile(r"(^ggml-vocab-)|([-_.]vocab$)", re.IGNORECASE)
_IMATRIX = re.compile(r"imatrix", re.IGNORECASE)
_DRAFT = re.compile(r"(^|[-_.])(draft|eagle3?|dflash)([-_.]|$)|^mtp[-_]|[-_.]mtp[-_]head", re.IGNORECASE)
_ADAPTER = re.compile(r"^ggml-adapter|[-_]lora-adapter", re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """A file's name taken apart: the model's name without ending and part, and which part of how many it is."""

    model: str
    number: int = 1
    count: int = 1


def is_gguf(name: str) -> bool:
    """Say whether a file is a GGUF file by its name."""
    return bool(_SUFFIX.search(name))


def part_of(name: str) -> Part:
    """Take a file's name apart; ``a/model-00002-of-00003.gguf`` is part 2 of 3 of ``a/model``."""
    stem = _SUFFIX.sub("", name)
    found = _PART.search(stem)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        return Part(stem)
    return Part(stem[: found.start()], int(found[1]), int(found[2]))


def quantization_of(name: str) -> str | None:
    """Return the quantization that a file's name tells (``Q4_K_M``), else that of the nearest folder, else None.

    The last one in a name counts. Two that stand side by side (``f16.q6``) are a mixture: ``F16-Q6``.
    """
    *folders, file = part_of(name).model.split("/")
    return next((found for part in (file, *reversed(folders)) if (found := _in_one(part))), None)


def _in_one(text: str) -> str | None:
    found = list(_QUANTIZATION.finditer(text))
    if not found:
        return None
    last = [canonical(found[-1][0])]
    if len(found) > 1 and found[-1].start() - found[-2].end() == 1:
        last.insert(0, canonical(found[-2][0]))
    return "-".join(last)


def is_quantization(text: str) -> bool:
    """Say whether a text is the name of a quantization and nothing else."""
    return bool(_QUANTIZATION.fullmatch(_IMPORTANCE.sub("", text.strip())))


def canonical(text: str) -> str:
    """Return a quantization the way llama.cpp writes it: upper case, ``_`` inside, F16 for fp16, no ``i1-``."""
    name = _IMPORTANCE.sub("", text.strip()).upper().replace("-", "_")
    name = re.sub(r"\bUD_", "UD-", name)
    return re.sub(r"^(B?)FP(?=16|32|64)", r"\1F", name)


def is_projector(name: str) -> bool:
    """Say whether a file's name is that of the part of a model that sees or hears."""
    return is_gguf(name) and bool(_PROJECTOR.search(_base(name)))


def is_other(name: str) -> bool:
    """Say whether a file's name is that of something beside models: a projector, vocabulary, adapter or imatrix."""
    base = _base(part_of(name).model)
    if is_projector(name) or _VOCABULARY.search(base) or _ADAPTER.search(base):
        return True
    # "model-imatrix-Q4_K_M" is a model that was made with such a matrix.
    return bool(_IMATRIX.search(base)) and (_in_one(base) is None or base.lower().startswith("imatrix"))


def is_draft(name: str) -> bool:
    """Say whether a file's name is that of a small model that guesses for a larger one."""
    return bool(_DRAFT.search(_base(name)))


def subject(name: str) -> str:
    """Return what a model's name says beside its quantization and its being a projector, in lower case."""
    base = _base(part_of(name).model)
    plain = _QUANTIZATION.sub("", _PROJECTOR.sub("", base))
    return re.sub(r"[^a-z0-9]+", "", re.sub(r"(?<![a-z0-9])(model|ggml|ud|i1)(?![a-z0-9])", "", plain.lower()))


def _base(name: str) -> str:
    return name.rpartition("/")[2]
