"""Looks into files that leave no trace: when a model was last used is told by the access times of its files."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def open_unnoticed(path: Path) -> BinaryIO:
    """Open a file to read such that it does not count as used, where the system knows that and we own the file."""
    quiet: int = getattr(os, "O_NOATIME", 0)
    with suppress(PermissionError):
        return open(path, "rb", opener=lambda file, flags: os.open(file, flags | quiet))
    return path.open("rb")
