"""What llama.cpp was built for, told without importing it."""

import subprocess
import sys
from pathlib import Path

import pytest

from universal_gguf import build


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["libggml.so", "libggml-cpu.so", "libllama.so"], ()),
        (["libggml-cpu.so", "libggml-cuda.so.0"], ("cuda",)),
        (["ggml-vulkan.dll", "ggml-hip.dll"], ("hip", "vulkan")),
        (["libggml-metal.dylib"], ("metal",)),
    ],
    ids=str,
)
def test_an_accelerator_is_known_by_its_library(tmp_path: Path, files: list[str], expected: tuple[str, ...]) -> None:
    (tmp_path / "llama_cpp" / "lib").mkdir(parents=True)
    (tmp_path / "llama_cpp" / "__init__.py").write_text("raise RuntimeError('imported')")
    for name in files:
        (tmp_path / "llama_cpp" / "lib" / name).touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from universal_gguf import build\n"
    code += "print(build.accelerators(), build.has_accelerator())"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert shown == f"{expected} {bool(expected)}"


def test_this_build_agrees_with_what_llama_cpp_says_of_itself() -> None:
    code = "import llama_cpp; print(llama_cpp.llama_supports_gpu_offload())"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert shown == str(build.has_accelerator())
