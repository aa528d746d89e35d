"""Mapped files leave the memory of the process when they are told to, and are still there to be read."""

import mmap
import re
import sys
from pathlib import Path

import pytest

from universal_gguf.mapped import forget

SIZE = 4 * 2**20


def resident(file: Path) -> int:
    """Return how many bytes of a file this process has mapped and in memory."""
    places = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    return sum(int(found[1]) for each in places if str(file) in each and (found := re.search(r"Rss: +(\d+)", each)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is in memory")
def test_the_pages_of_a_file_go_and_come_back(tmp_path: Path) -> None:
    file, other = tmp_path / "weights.gguf", tmp_path / "other.gguf"
    for each in (file, other):
        each.write_bytes(b"x" * SIZE)
    with file.open("rb") as one, other.open("rb") as two:
        mapped = mmap.mmap(one.fileno(), 0, access=mmap.ACCESS_READ)
        beside = mmap.mmap(two.fileno(), 0, access=mmap.ACCESS_READ)
        assert mapped.find(b"y") == beside.find(b"y") == -1
        assert resident(file) >= SIZE // 1024
        forget([str(file)])
        assert resident(file) == 0
        assert resident(other) >= SIZE // 1024
        assert mapped.find(b"y") == -1
        assert resident(file) >= SIZE // 1024
        mapped.close()
        beside.close()
