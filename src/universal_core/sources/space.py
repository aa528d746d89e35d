"""Whether the disk has room for a download, and what to do where it has not."""

import re
import shutil
from collections import defaultdict
from pathlib import Path

from universal_core.errors import InsufficientDisk
from universal_core.models import ModelInfo
from universal_core.sizes import readable

MARGIN = 64 * 1000 * 1000
"""Bytes that a download leaves free: for locks and links, and for what else the machine is writing."""
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_QUANTIZATION = re.compile(r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|T?Q\d\w*|MXFP\d\w*|BF16|FP?(?:16|32)))$", re.IGNORECASE)


def require_space(info: ModelInfo, missing: int, whole: int, folder: Path) -> None:
    """Raise InsufficientDisk where ``missing`` bytes more of a model's ``whole`` do not fit on the disk of a folder."""
    free = _free(folder)
    if missing == 0 or missing + MARGIN <= free:
        return
    here = f" (of {readable(whole)}, {readable(whole - missing)} are here)" if missing < whole else ""
    raise InsufficientDisk(
        f"{info.id} needs {readable(missing)} more on the disk of {folder}{here}, and {readable(free)} are free there: "
        f"remove a model (`universal rm MODEL`), set hub.cache to a folder of a larger disk"
        f"{_smaller(info, free, missing)}"
    )


def disk_filled(info: ModelInfo, folder: Path) -> InsufficientDisk:
    """Return the error for a disk that became full while a model was downloaded."""
    return InsufficientDisk(
        f"the disk of {folder} became full while {info.id} was downloaded ({readable(_free(folder))} are free): remove "
        "a model (`universal rm MODEL`) or set hub.cache to a folder of a larger disk; the next try goes on where this "
        "one stopped"
    )


def _free(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _smaller(info: ModelInfo, free: int, missing: int) -> str:
    """Return advice to take the largest other quantization of the repository that would fit, if there is one."""
    sizes: dict[str, int] = defaultdict(int)
    for file in info.matching("*.gguf"):
        stem = _PART.sub("", file.name.rpartition("/")[2].removesuffix(".gguf"))
        if not stem.lower().startswith("mmproj"):
            sizes[stem] += file.size
    fitting = {stem: size for stem, size in sizes.items() if size + MARGIN <= free and size < missing}
    if not fitting:
        return ""
    stem = max(fitting, key=lambda one: fitting[one])
    found = _QUANTIZATION.search(stem)
    return f", or take {info.ref.name}:{found[1] if found else stem} ({readable(fitting[stem])}), which fits"
