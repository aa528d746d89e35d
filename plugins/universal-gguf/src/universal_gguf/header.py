"""What stands at the head of a GGUF file: metadata and the list of tensors, read without llama.cpp and checked.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Versions 2 and 3, little endian.
"""

from functools import cached_property, lru_cache
from pathlib import Path

import msgspec

from universal_core import LoadFailed, open_unnoticed
from universal_gguf.scan import MOST_ENTRIES, Array, Scalar, Scan
from universal_gguf.tensors import MOST_TENSORS, Tensor, check_places, read_tensors

VERSIONS = (2, 3)
POOLINGS = ("none", "mean", "cls", "last", "rank")
"""llama.cpp's kinds of pooling, in the order of their numbers."""

_CACHE_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
_MOST_LAYERS = 4096

CACHE_TYPES = tuple(_CACHE_BYTES)
"""Number formats that a cache of keys and values may have."""


class Header(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The head of a GGUF file. Numbers that a file does not tell are 0, or None where 0 would mean something."""

    path: str
    version: int
    metadata: dict[str, Scalar | Array]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_size: int

    def text(self, key: str) -> str:
        """Return an entry's text, empty where there is none."""
        found = self.metadata.get(key)
        return found if isinstance(found, str) else ""

    def number(self, key: str) -> int:
        """Return a number of the model's architecture (``number("block_count")``), 0 where there is none.

        Of an entry that has a number for each layer the largest counts.
        """
        return max(self.numbers(key), default=0)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Return an entry of the model's architecture that may have one number, or one for each layer."""
        found = self.metadata.get(f"{self.architecture}.{key}")
        items = (found.items or ()) if isinstance(found, Array) else (found,)
        return tuple(int(item) for item in items if isinstance(item, int | float) and 0 <= item < 2**53)

    @cached_property
    def architecture(self) -> str:
        """The name of the architecture, empty where the file has none."""
        return self.text("general.architecture")

    @property
    def context_length(self) -> int | None:
        """The tokens that the model was trained with, None where the file does not tell."""
        return self.number("context_length") or None

    @property
    def block_count(self) -> int:
        """The number of layers."""
        return self.number("block_count")

    @property
    def embedding_length(self) -> int:
        """The size of a token's vector."""
        return self.number("embedding_length")

    @property
    def expert_count(self) -> int:
        """The number of experts of a layer, 0 for a dense model."""
        return self.number("expert_count")

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens.length if isinstance(tokens, Array) else self.number("vocab_size")

    @property
    def pooling_type(self) -> str | None:
        """How token vectors become one: none, mean, cls, last or rank; None where the file does not tell."""
        found = self.metadata.get(f"{self.architecture}.pooling_type")
        return POOLINGS[found] if isinstance(found, int) and 0 <= found < len(POOLINGS) else None

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of conversations, None where the file has none."""
        return self.text("tokenizer.chat_template") or None

    @property
    def has_tokenizer(self) -> bool:
        """Whether the file has a vocabulary, as every model of text has."""
        return bool(self.text("tokenizer.ggml.model"))

    @property
    def is_projector(self) -> bool:
        """Whether this is the part of a model that sees or hears, and not the model itself."""
        return self.architecture == "clip" or self.text("general.type") == "mmproj"

    @property
    def is_vocabulary_only(self) -> bool:
        """Whether the file has a vocabulary and no weights."""
        return self.has_tokenizer and not self.tensors

    @property
    def sees(self) -> bool:
        """Whether a projector takes images; old files do not say, and images were all there was."""
        told = self.metadata.get("clip.has_vision_encoder")
        return self.is_projector and (bool(told) if isinstance(told, bool) else not self.hears)

    @property
    def hears(self) -> bool:
        """Whether a projector takes sound."""
        return self.is_projector and self.metadata.get("clip.has_audio_encoder") is True

    def cache_bytes_per_token(self, type_k: str = "f16", type_v: str = "f16") -> float:
        """Return the bytes that the keys and values of one token take in all layers, 0 where that is not known."""
        return sum(self.layer_cache_bytes(type_k, type_v))

    def layer_cache_bytes(self, type_k: str = "f16", type_v: str = "f16") -> tuple[float, ...]:
        """Return the bytes that the keys and values of one token take in each layer, nothing where that is not known.

        ``key-value heads x (key length x bytes of a key number + value length x bytes of a value number)``; latent
        attention keeps no values. Too much for models whose layers share keys and values, and for recurrent layers
        that do not say that they have no heads.
        """
        heads = self.numbers("attention.head_count")
        shared = self.numbers("attention.head_count_kv") or heads
        widest = max(heads, default=0)
        size = self.embedding_length // widest if widest else 0
        key = self.number("attention.key_length") or size
        value = 0 if self.number("attention.key_length_mla") else self.number("attention.value_length") or size
        each = key * _CACHE_BYTES[type_k] + value * _CACHE_BYTES[type_v]
        # Of a number of layers that no model has, the file is broken.
        layers = shared if len(shared) > 1 else shared * min(self.block_count, _MOST_LAYERS)
        return tuple(count * each for count in layers)


def read_header(path: str | Path) -> Header:
    """Return the head of a GGUF file; of a model in several files the first has the metadata.

    Reads no weights. Raises LoadFailed, in words that say what is wrong with the file, for anything else.
    What was read is remembered as long as the file is not changed.
    """
    place = Path(path)
    try:
        state = place.stat()
        return _read(place, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise LoadFailed(f"{place.name} cannot be read: {error.strerror or error}") from None


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> Header:
    with open_unnoticed(path) as file:
        scan = Scan(file, path, size)
        version = _check_beginning(scan)
        tensor_count = scan.count("the number of tensors", MOST_TENSORS)
        entry_count = scan.count("the number of entries of metadata", MOST_ENTRIES)
        metadata = _read_metadata(scan, entry_count)
        tensors = read_tensors(scan, tensor_count)
    alignment = _alignment(scan, metadata)
    data_offset = -(-scan.position // alignment) * alignment
    check_places(scan, tensors, data_offset, alignment)
    return Header(
        path=str(path),
        version=version,
        metadata=metadata,
        tensors=tensors,
        data_offset=data_offset,
        file_size=size,
    )


def _check_beginning(scan: Scan) -> int:
    """Read magic and version; return the version."""
    if not scan.size:
        raise scan.damaged("it is empty")
    magic = scan.take(min(4, scan.size), "its first bytes")
    if magic != b"GGUF":
        raise scan.damaged(_what_begins_with(magic, scan))
    version = scan.word("the version")
    # Small numbers, written the other way round, have nothing in their lower half.
    if version and not version & 0xFFFF:
        raise LoadFailed(f"{scan.path.name} is a big-endian GGUF file; only little-endian ones can be read")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise LoadFailed(
            f"{scan.path.name} has version {version} of the GGUF format; {known} are known. Convert it again"
        )
    return version


def _what_begins_with(magic: bytes, scan: Scan) -> str:
    beginning = (magic + scan.take(min(60, scan.size - scan.position), "its first bytes")).lstrip().lower()
    if beginning.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, and the file itself was never fetched (`git lfs pull`)"
    if beginning.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page, such as a download that asked for a login leaves behind"
    if magic in (b"lmgg", b"fmgg", b"tjgg", b"algg"):
        return "it has the format that came before GGUF, which llama.cpp no longer reads"
    return f"it begins with {magic!r} instead of b'GGUF'"


def _read_metadata(scan: Scan, count: int) -> dict[str, Scalar | Array]:
    metadata: dict[str, Scalar | Array] = {}
    for number in range(count):
        key = scan.name(f"the name of metadata entry {number}")
        if key in metadata:
            raise scan.damaged(f"the metadata entry {key} is there twice")
        metadata[key] = scan.value(scan.word(f"the type of {key}"), key)
    return metadata


def _alignment(scan: Scan, metadata: dict[str, Scalar | Array]) -> int:
    found = metadata.get("general.alignment", 32)
    if not isinstance(found, int) or found <= 0 or found & (found - 1) or found > 2**20:
        raise scan.damaged(f"general.alignment is {found!r}, and must be a power of two")
    return found
