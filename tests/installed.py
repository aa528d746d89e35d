"""Plugins that exist for a test: a folder with what pip would have written, which any process on its path finds."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_distribution(folder: Path, name: str, target: str, version: str = "1.0") -> None:
    """Write the metadata of a distribution ``universal-NAME`` whose entry point NAME is ``target``."""
    metadata = folder / f"universal_{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: universal-{name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[universal]\n{name} = {target}\n")


def install(folder: Path, name: str, source: str) -> None:
    """Write a plugin ``NAME`` made of one module with this source."""
    write_distribution(folder, name, f"universal_{name}")
    (folder / f"universal_{name}.py").write_text(source)


@contextmanager
def on_path(folder: Path) -> Iterator[None]:
    """Let this process, and every one that it starts, find what is installed in a folder."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        for name in [name for name, module in sys.modules.items() if _from(module, folder)]:
            del sys.modules[name]


def _from(module: object, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)
