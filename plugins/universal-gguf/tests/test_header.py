"""The head of a GGUF file: what is read from a whole one, and what is said of a damaged one."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from universal_core import LoadFailed
from universal_gguf.header import read_header
from universal_gguf.scan import Array
from universal_gguf.tensors import Tensor

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes a GGUF file with one tensor; it is given the writer before it writes."""

    def write(
        add: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
        *,
        architecture: str = "llama",
        endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
    ) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(str(path), architecture, endianess=endianess)
        writer.add_tokenizer_model("gpt2")
        add(writer)
        writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def test_metadata_and_tensors_are_those_that_were_written(make: Make) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_context_length(4096)
        writer.add_block_count(3)
        writer.add_embedding_length(64)
        writer.add_expert_count(8)
        writer.add_rope_freq_base(10000.5)
        writer.add_chat_template("{{ messages }} é")
        writer.add_bool("some.truth", True)
        writer.add_int64("some.number", -(2**40))
        writer.add_array("some.numbers", [1, 2, 3])
        writer.add_array("some.words", ["a", "é"])

    header = read_header(make(add))
    assert (header.version, header.architecture) == (3, "llama")
    assert (header.context_length, header.block_count, header.embedding_length, header.expert_count) == (4096, 3, 64, 8)
    assert header.chat_template == "{{ messages }} é"
    assert header.metadata["llama.rope.freq_base"] == 10000.5
    assert header.metadata["some.truth"] is True
    assert header.metadata["some.number"] == -(2**40)
    assert header.metadata["some.numbers"] == Array("int32", 3, (1, 2, 3))
    assert header.metadata["some.words"] == Array("string", 2, ("a", "é"))
    assert header.tensors == (Tensor("token_embd.weight", (32, 4), 0, 0),)
    assert header.data_offset + 4 * 32 * 4 == header.file_size


def test_everything_agrees_with_the_reader_of_the_gguf_package(make: Make) -> None:
    path = make(lambda writer: writer.add_token_list([f"token {number}" for number in range(3000)]))
    header, reference = read_header(path), gguf.GGUFReader(path)
    own = {key for key in reference.fields if not key.startswith("GGUF.")}
    assert set(header.metadata) == own
    assert header.data_offset == reference.data_offset
    assert [(tensor.name, tensor.shape) for tensor in header.tensors] == [
        (tensor.name, tuple(map(int, tensor.shape))) for tensor in reference.tensors
    ]


def test_a_vocabulary_is_counted_and_not_kept(make: Make) -> None:
    tokens = ["x" * (number % 300) + str(number) for number in range(20000)]

    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_token_list(tokens)
        writer.add_token_scores([0.5] * len(tokens))
        writer.add_token_merges(["a b" * 1000] * 2000)
        writer.add_chat_template("behind all of that")

    header = read_header(make(add))
    assert header.metadata["tokenizer.ggml.tokens"] == Array("string", 20000)
    assert header.metadata["tokenizer.ggml.scores"] == Array("float32", 20000)
    assert header.vocabulary_size == 20000
    assert header.chat_template == "behind all of that"


def test_a_changed_file_is_read_again(make: Make) -> None:
    assert read_header(make(lambda writer: writer.add_context_length(1))).context_length == 1
    assert read_header(make(lambda writer: writer.add_context_length(1000000))).context_length == 1000000


@pytest.mark.parametrize("pooling", list(gguf.PoolingType))
def test_the_pooling_is_told_by_its_name(make: Make, pooling: gguf.PoolingType) -> None:
    assert read_header(make(lambda writer: writer.add_pooling_type(pooling))).pooling_type == pooling.name.lower()


def test_what_a_file_does_not_tell_is_not_invented(make: Make) -> None:
    header = read_header(make())
    assert (header.context_length, header.pooling_type, header.chat_template) == (None, None, None)
    assert (header.block_count, header.embedding_length, header.expert_count, header.vocabulary_size) == (0, 0, 0, 0)
    assert header.cache_bytes_per_token() == 0
    assert not header.is_projector
    assert not header.is_vocabulary_only


@pytest.mark.parametrize(
    ("flags", "sees", "hears"),
    [
        ({}, True, False),
        ({"clip.has_vision_encoder": True}, True, False),
        ({"clip.has_audio_encoder": True}, False, True),
        ({"clip.has_audio_encoder": True, "clip.has_vision_encoder": True}, True, True),
    ],
)
def test_a_projector_says_what_it_takes(make: Make, flags: dict[str, bool], sees: bool, hears: bool) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        for key, value in flags.items():
            writer.add_bool(key, value)

    header = read_header(make(add, architecture="clip"))
    assert header.is_projector
    assert (header.sees, header.hears) == (sees, hears)


def shape(writer: gguf.GGUFWriter, *, kv: int | list[int], key: int = 0, value: int = 0) -> None:
    writer.add_block_count(4)
    writer.add_embedding_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv(kv)
    if key:
        writer.add_key_length(key)
        writer.add_value_length(value)


@pytest.mark.parametrize(
    ("kv", "key", "value", "types", "expected"),
    [
        (2, 0, 0, ("f16", "f16"), 4 * 2 * (32 + 32) * 2),
        (2, 128, 64, ("f16", "f16"), 4 * 2 * (128 + 64) * 2),
        (2, 128, 64, ("f32", "q8_0"), 4 * 2 * (128 * 4 + 64 * 34 / 32)),
        ([2, 0, 4, 0], 0, 0, ("f16", "f16"), 6 * (32 + 32) * 2),
        (2, 0, 0, ("q4_0", "q4_0"), 4 * 2 * (32 + 32) * 18 / 32),
    ],
)
def test_the_bytes_of_a_tokens_cache_follow_their_formula(
    make: Make, kv: int | list[int], key: int, value: int, types: tuple[str, str], expected: float
) -> None:
    header = read_header(make(lambda writer: shape(writer, kv=kv, key=key, value=value)))
    assert header.cache_bytes_per_token(*types) == expected


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def tensor(name: str = "t", dimensions: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in dimensions)
    return string(name) + struct.pack("<I", len(dimensions)) + sizes + struct.pack("<IQ", kind, offset)


def head(
    *entries: bytes, tensors: tuple[bytes, ...] = (), version: int = 3, counts: tuple[int, int] | None = None
) -> bytes:
    found = counts or (len(tensors), len(entries))
    return b"GGUF" + struct.pack("<IQQ", version, *found) + b"".join(entries) + b"".join(tensors)


HUGE = 2**63
ARCHITECTURE = entry("general.architecture", 8, string("llama"))

DAMAGE = {
    "nothing": (b"", "it is empty"),
    "one byte": (b"G", "begins with b'G'"),
    "other magic": (b"PK\x03\x04 and more of it, to be long enough", r"begins with b'PK\x03\x04' instead of b'GGUF'"),
    "web page": (b"<!DOCTYPE html><html><head><title>Sign in</title>", "it is a web page"),
    "web page, short": (b"\n<html>", "it is a web page"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4000000000\n",
        "a pointer of Git LFS",
    ),
    "older format": (b"tjgg\x03\x00\x00\x00" + bytes(60), "the format that came before GGUF"),
    "magic alone": (b"GGUF", "it ends after 4 bytes, in the middle of the version"),
    "version 1": (head(version=1), "has version 1 of the GGUF format; 2 and 3 are known"),
    "version 0": (head(version=0), "has version 0 of the GGUF format"),
    "version 99": (head(version=99), "has version 99 of the GGUF format"),
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is a big-endian GGUF file"),
    "no counts": (b"GGUF" + struct.pack("<I", 3), "in the middle of the number of tensors"),
    "tensors": (head(counts=(2**32, 0)), "the number of tensors is 4294967296"),
    "entries": (head(counts=(0, 2**32)), "the number of entries of metadata is 4294967296"),
    "negative count": (head(counts=(2**64 - 1, 0)), "the number of tensors is 18446744073709551615"),
    "missing entries": (head(ARCHITECTURE, counts=(0, 5)), "it ends after 69 bytes"),
    "long key": (
        head(struct.pack("<Q", HUGE) + b"x"),
        "the length of the name of metadata entry 0 is 9223372036854775808",
    ),
    "key beyond the end": (head(struct.pack("<Q", 5000) + b"x"), "in the middle of the name of metadata entry 0"),
    "key of bytes": (head(string(b"\xff\xfe") + bytes(12)), "is not UTF-8 text"),
    "same key": (head(ARCHITECTURE, ARCHITECTURE), "the metadata entry general.architecture is there twice"),
    "no such type": (head(entry("a", 77, bytes(8))), "a has the type 77, which does not exist"),
    "long string": (head(entry("a", 8, struct.pack("<Q", HUGE))), "the length of a is 9223372036854775808"),
    "cut string": (head(entry("a", 8, struct.pack("<Q", 100) + b"x")), "in the middle of a"),
    "nested arrays": (head(entry("a", 9, struct.pack("<IQ", 9, 1) + bytes(64))), "a is an array of arrays"),
    "items of no type": (head(entry("a", 9, struct.pack("<IQ", 13, 1) + bytes(64))), "a has the type 13"),
    "many items": (head(entry("a", 9, struct.pack("<IQ", 4, HUGE))), "the number of items of a is 9223372036854775808"),
    "cut numbers": (head(entry("a", 9, struct.pack("<IQ", 10, 60)) + bytes(80)), "in the middle of a"),
    "cut strings": (head(entry("a", 9, struct.pack("<IQ", 8, 2000)) + string("x") * 1999), "in the middle of a"),
    "long string among many": (
        head(
            entry("a", 9, struct.pack("<IQ", 8, 1100)) + string("x") * 1000 + struct.pack("<Q", HUGE + 9) + bytes(9000)
        ),
        "in the middle of a",
    ),
    "longest string among many": (
        head(entry("a", 9, struct.pack("<IQ", 8, 1100)) + struct.pack("<Q", 2**64 - 1) + bytes(9000)),
        "in the middle of a",
    ),
    "dimensions": (head(tensors=(tensor(dimensions=(1,) * 5),)), "the tensor t has 5 dimensions"),
    "many dimensions": (head(tensors=(string("t") + struct.pack("<I", 2**32 - 1),)), "has 4294967295 dimensions"),
    "negative dimension": (head(tensors=(tensor(dimensions=(2**64 - 32,)),)), "a dimension of the tensor t is"),
    "overflow": (
        head(tensors=(tensor(dimensions=(2**40, 2**40)),)),
        "has an absurd shape, 1099511627776 x 1099511627776",
    ),
    "same tensor": (head(tensors=(tensor(), tensor(offset=128))) + bytes(512), "the tensor t is there twice"),
    "rows": (head(tensors=(tensor(dimensions=(33,), kind=2),)) + bytes(512), "are 33 long, no multiple of 32"),
    "offset": (head(tensors=(tensor(offset=8),)) + bytes(512), "not at a multiple of 32 bytes"),
    "far offset": (head(tensors=(tensor(offset=2**62),)) + bytes(512), "it was cut off"),
    "no data": (head(tensors=(tensor(),)), "it was cut off"),
    "alignment": (head(entry("general.alignment", 4, struct.pack("<I", 0))), "general.alignment is 0"),
    "odd alignment": (head(entry("general.alignment", 4, struct.pack("<I", 33))), "general.alignment is 33"),
    "alignment of text": (head(entry("general.alignment", 8, string("32"))), "general.alignment is '32'"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    data, words = DAMAGE[name]
    path = tmp_path / "broken.gguf"
    path.write_bytes(data)
    with pytest.raises(LoadFailed, match=re.escape(words)) as raised:
        read_header(path)
    assert "broken.gguf" in raised.value.message


def test_a_file_that_ends_anywhere_is_refused_and_nothing_else_happens(make: Make) -> None:
    path = make(lambda writer: writer.add_token_list([str(number) for number in range(2000)]))
    whole = path.read_bytes()
    for end in (*range(400), *range(400, len(whole), 997), len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(LoadFailed):
            read_header(path)


def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "noise.gguf"
    whole = head(ARCHITECTURE, entry("a", 9, struct.pack("<IQ", 4, 3) + bytes(12)), tensors=(tensor(),)) + bytes(256)
    for _ in range(500):
        noise = bytearray(whole)
        for place in random.integers(4, len(noise) - 256, 3):
            noise[place] = random.integers(256)
        path.write_bytes(noise)
        try:
            read_header(path)
        except LoadFailed as error:
            assert "noise.gguf" in error.message  # noqa: PT017 - some bytes may change without harm


def test_a_big_endian_file_is_refused_by_that_name(make: Make) -> None:
    with pytest.raises(LoadFailed, match="big-endian"):
        read_header(make(endianess=gguf.GGUFEndian.BIG))


def test_a_file_that_is_not_there_is_a_failed_load(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"none\.gguf cannot be read"):
        read_header(tmp_path / "none.gguf")
