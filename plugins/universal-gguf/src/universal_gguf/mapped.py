"""Files that are mapped into memory: giving back the pages of weights that were copied from them."""

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_C = ctypes.CDLL(None) if sys.platform == "linux" else None


def forget(files: Sequence[str]) -> None:
    """Let the system have the pages of some files that this process has mapped; what is still used is read again.

    llama.cpp keeps the whole file mapped while a processor computes with weights that it has copied into another order,
    half of a Q4_K_M or more: those pages would be counted as this process's for good. Reading pages again that the
    system still has takes less than a millisecond for 10 MB. Nothing happens where memory is locked, or not on Linux.
    """
    if _C is None:
        return
    for start, end in _places({os.path.realpath(file) for file in files}):
        _C.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(mmap.MADV_DONTNEED))


def _places(files: set[str]) -> Iterator[tuple[int, int]]:
    """Yield the addresses at which files are mapped to be read, and to be read alone."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *_, name = line.split(None, 5)
        if name in files and rights.startswith("r--"):
            start, _, end = place.partition("-")
            yield int(start, 16), int(end, 16)
