"""Finds llama-server, or builds it from the source distribution of the llama-cpp-python that is installed.

So it is the same llama.cpp as the one that the plugin calls, built by the same compiler with the same flags.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

FLAGS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF"),
    *("-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF"),
)
"""llama-cpp-python's own defaults; the web page, TLS, tests and examples are left out."""


def find(folder: Path) -> Path | None:
    """Return $LLAMA_SERVER, or the program that was built, or the one on the path."""
    given = os.environ.get("LLAMA_SERVER")
    if given and not Path(given).is_file():
        raise SystemExit(f"there is no llama-server at {given}")
    built = _place(folder) / "build" / "bin" / "llama-server"
    found = given or (built if built.exists() else shutil.which("llama-server"))
    return Path(found) if found else None


def build(folder: Path, jobs: int) -> Path:
    """Build llama-server in a folder and return it; takes some ten minutes on two cores."""
    place = _place(folder)
    source, result = _source(place), place / "build"
    cmake = shutil.which("cmake")
    if cmake is None:
        raise SystemExit("building llama-server needs cmake and a compiler: pip install cmake ninja")
    print(f"building llama-server in {result} ...", flush=True)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    _run(cmake, "-S", str(source), "-B", str(result), *generator, *FLAGS)
    _run(cmake, "--build", str(result), "--config", "Release", "--target", "llama-server", "-j", str(jobs))
    return result / "bin" / "llama-server"


def _place(folder: Path) -> Path:
    return folder / f"llama-cpp-python-{importlib.metadata.version('llama-cpp-python')}"


def _source(place: Path) -> Path:
    """Return the llama.cpp inside the source distribution, downloaded and unpacked now if it is not there."""
    version = importlib.metadata.version("llama-cpp-python")
    source = place / f"llama_cpp_python-{version}" / "vendor" / "llama.cpp"
    if not source.exists():
        wanted = f"llama-cpp-python=={version}"
        pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python")
        _run(*pip, "--dest", str(place), wanted)
        with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
            archive.extractall(place, filter="data")
    return source


def _run(*command: str) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True)
