"""The list of tensors in the head of a GGUF file, checked against the file's size."""

import msgspec

from universal_gguf.scan import Scan

MOST_TENSORS = 2**20
MOST_DIMENSIONS = 4

# How many numbers one block of a tensor type holds, and the bytes that it takes (ggml.h, ggml-common.h).
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    30: (1, 2),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    20: (32, 18),
    39: (32, 17),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    29: (256, 56),
    34: (256, 54),
    35: (256, 66),
    40: (64, 36),
    41: (128, 18),
}


class Tensor(msgspec.Struct, frozen=True):
    """One tensor: its shape (innermost first), ggml's number of its type, and its place behind the header in bytes."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


def read_tensors(scan: Scan, count: int) -> tuple[Tensor, ...]:
    """Read the list of ``count`` tensors, each with a name of its own. Raises LoadFailed."""
    tensors: dict[str, Tensor] = {}
    for number in range(count):
        name = scan.name(f"the name of tensor {number}")
        if name in tensors:
            raise scan.damaged(f"the tensor {name} is there twice")
        dimensions = scan.word(f"the number of dimensions of {name}")
        if dimensions > MOST_DIMENSIONS:
            raise scan.damaged(
                f"the tensor {name} has {dimensions} dimensions, and at most {MOST_DIMENSIONS} make sense"
            )
        shape = tuple(scan.count(f"a dimension of the tensor {name}", 2**63 - 1) for _ in range(dimensions))
        kind = scan.word(f"the type of the tensor {name}")
        tensors[name] = Tensor(name, shape, kind, scan.count(f"the place of the tensor {name}", 2**63 - 1))
    return tuple(tensors.values())


def check_places(scan: Scan, tensors: tuple[Tensor, ...], data_offset: int, alignment: int) -> None:
    """Refuse tensors that are not where data can be: a file that was cut off, above all. Raises LoadFailed.

    ``data_offset`` is where the data begins in the file, and ``alignment`` that of its tensors, both in bytes.
    """
    for tensor in tensors:
        if tensor.offset % alignment:
            raise scan.damaged(f"the tensor {tensor.name} is not at a multiple of {alignment} bytes")
        end = data_offset + tensor.offset + _bytes_of(scan, tensor)
        if end > scan.size:
            raise scan.damaged(f"it has {scan.size} bytes, but the tensor {tensor.name} ends at {end}: it was cut off")


def _bytes_of(scan: Scan, tensor: Tensor) -> int:
    """Return the bytes of a tensor; 0 for a type that is newer than this reader, which llama.cpp may know."""
    numbers = 1
    for dimension in tensor.shape:
        numbers *= dimension
    if numbers > 2**63 - 1:
        raise scan.damaged(f"the tensor {tensor.name} has an absurd shape, {' x '.join(map(str, tensor.shape))}")
    block, size = _BLOCKS.get(tensor.type, (1, 0))
    if size and tensor.shape and tensor.shape[0] % block:
        raise scan.damaged(f"the rows of the tensor {tensor.name} are {tensor.shape[0]} long, no multiple of {block}")
    return numbers // block * size
