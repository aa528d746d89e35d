"""What a checkup says of what is installed: plugins, versions, and libraries that do not go together."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from installed import on_path
from universal_core.checkup.findings import Finding
from universal_core.checkup.machine import Driver
from universal_core.checkup.packages import (
    check_libraries,
    check_llama,
    check_plugins,
    check_requirements,
    check_speech,
    check_torch,
    check_torchvision,
)
from universal_core.memory import Device
from universal_core.plugins import Plugin

Install = Callable[..., None]
DRIVER = Driver("580.1", (13, 0), Device("cuda:0", "NVIDIA H100", 80, 70))
OLD_DRIVER = Driver("535.2", (12, 2), Device("cuda:0", "NVIDIA T4", 16, 15))


def plugin(name: str, state: str = "active", **fields: object) -> Plugin:
    return Plugin(name=name, version="0.1.0", origin=f"universal-{name}", state=state, **fields)  # type: ignore[arg-type]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Write the metadata of distributions, before all that are really installed."""
    folder = tmp_path / "site"
    folder.mkdir()

    def write(name: str, version: str, *requires: str, files: dict[str, str] | None = None) -> None:
        metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        extras = sorted({line.partition('extra == "')[2].rstrip('"') for line in requires if "extra ==" in line})
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {line}" for line in requires]
        (metadata / "METADATA").write_text("\n".join(lines) + "\n")
        for path, text in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)

    with on_path(folder):
        yield write


def torch_built_for(cuda: str | None) -> dict[str, str]:
    return {"torch/version.py": f"from typing import Optional\ncuda: Optional[str] = {cuda!r}\nhip = None\n"}


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_plugins_that_take_part_are_named_with_their_versions() -> None:
    found = by_name(check_plugins([plugin("text"), plugin("mine"), plugin("off", "blocked")]))
    assert (found["plugins"].state, found["plugins"].found) == ("ok", "text 0.1.0, mine 0.1.0")


def test_without_any_plugin_the_one_for_texts_is_advised() -> None:
    found = by_name(check_plugins([plugin("off", "blocked")]))
    assert (found["plugins"].state, found["plugins"].advice) == ("problem", 'pip install "universal-core[text]"')


def test_a_quarantined_plugin_is_a_problem_with_its_reason() -> None:
    found = by_name(check_plugins([plugin("text"), plugin("mine", "quarantined", error="ImportError: no driver")]))
    assert found["plugin mine"].state == "problem"
    assert "ImportError: no driver" in found["plugin mine"].found
    assert "universal-mine" in (found["plugin mine"].advice or "")


def test_tasks_whose_libraries_are_missing_are_told_with_the_extra_that_brings_them() -> None:
    found = by_name(check_plugins([plugin("audio", tasks=("transcribe", "translate", "listen"))]))
    assert found["plugin audio"] == Finding(
        "plugin audio",
        "warning",
        "without the libraries for speak, list_voices",
        'pip install "universal-core[audio]"',
    )


def test_a_plugin_that_is_not_installed_lacks_nothing() -> None:
    assert "plugin audio" not in by_name(check_plugins([plugin("text")]))


def test_what_is_installed_here_fits_together() -> None:
    assert check_requirements([]).state == "ok"


def test_a_library_of_another_version_is_a_problem_with_the_command_that_installs_the_right_one(
    install: Install,
) -> None:
    install("universal-mine", "0.1.0", "libone~=5.23", 'libtwo>=2; extra == "two"', "libthree")
    install("libone", "4.0", "libfour<1")
    install("libtwo", "1.0")
    install("libfour", "2.0")
    found = check_requirements([plugin("mine")])
    assert found.state == "problem"
    assert "universal-mine needs libone~=5.23, and 4.0 is installed" in found.found
    assert "universal-mine needs libtwo>=2, and 1.0 is installed" in found.found
    assert "universal-mine needs libthree, which is not installed" in found.found
    assert "libone needs libfour<1, and 2.0 is installed" in found.found
    assert found.advice == 'pip install "libone~=5.23" "libtwo>=2" "libthree" "libfour<1"'


def test_what_only_an_extra_or_another_system_asks_for_may_be_missing(install: Install) -> None:
    install("universal-mine", "0.1.0", 'libtwo>=2; extra == "two"', 'libfive; sys_platform == "plan9"')
    assert check_requirements([plugin("mine")]).state == "ok"


def test_the_versions_of_what_models_run_with_are_told(install: Install) -> None:
    install("universal-mine", "0.1.0", "universal-core>=0.1", "libone")
    install("libone", "4.0")
    assert check_libraries([plugin("mine")]).found == "libone 4.0"


@pytest.mark.parametrize("driver", [None, DRIVER])
def test_pytorch_that_goes_with_the_machine_is_well(install: Install, driver: Driver | None) -> None:
    install("torch", "2.13.0", files=torch_built_for("12.6"))
    found = check_torch(driver)
    assert (found.state, found.found) == ("ok", "2.13.0, built for CUDA 12.6")


def test_pytorch_for_the_processor_beside_an_accelerator_is_a_problem_with_the_build_to_install(
    install: Install,
) -> None:
    install("torch", "2.13.0+cpu", files=torch_built_for(None))
    found = check_torch(DRIVER)
    assert found.state == "problem"
    assert "cannot use NVIDIA H100" in found.found
    assert found.advice == (
        "pip install --force-reinstall torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"
    )
    assert check_torch(None).state == "ok"


def test_pytorch_for_a_newer_cuda_than_the_drivers_is_a_problem(install: Install) -> None:
    install("torch", "2.13.0", files=torch_built_for("13.0"))
    found = check_torch(OLD_DRIVER)
    assert found.state == "problem"
    assert "the driver 535.2 knows CUDA up to 12.2" in found.found
    assert "whl/cu126" in (found.advice or "")


@pytest.mark.skipif(sys.platform != "linux", reason="wheels elsewhere know no CUDA")
@pytest.mark.parametrize(
    ("torch", "vision", "cuda", "state"),
    [
        ("2.13.0+cpu", "0.28.0", None, "problem"),
        ("2.13.0+cpu", "0.28.0+cpu", None, "ok"),
        ("2.13.0", "0.28.0", "13.0", "ok"),
        ("2.13.0", "0.28.0+cpu", "13.0", "problem"),
    ],
)
def test_torchvision_must_be_built_as_pytorch_is(
    install: Install, torch: str, vision: str, cuda: str | None, state: str
) -> None:
    install("torch", torch, files=torch_built_for(cuda))
    install("torchvision", vision)
    found = check_torchvision()
    assert found is not None
    assert found.state == state


def test_llama_for_the_processor_beside_an_accelerator_is_a_problem(install: Install) -> None:
    install("llama-cpp-python", "0.3.36", files={"llama_cpp/lib/libggml-cpu.so": ""})
    found = check_llama(DRIVER)
    assert found is not None
    assert found.state == "problem"
    assert 'CMAKE_ARGS="-DGGML_CUDA=on"' in (found.advice or "")


def test_llama_for_cuda_is_well(install: Install) -> None:
    install("llama-cpp-python", "0.3.36", files={"llama_cpp/lib/libggml-cuda.so": ""})
    found = check_llama(DRIVER)
    assert found is not None
    assert (found.state, found.found) == ("ok", "llama-cpp-python 0.3.36, built for CUDA")


def test_kokoro_without_espeak_is_told(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    # Undone here, because what installs takes its folder out of the path that it was put into.
    with monkeypatch.context() as alone:
        alone.setattr("shutil.which", lambda name: None)
        alone.setattr(sys, "path", sys.path[:1])
        assert check_speech() is None
        install("kokoro", "0.9.4")
        found = check_speech()
        assert found is not None
        assert found.advice == "pip install espeakng-loader"
        install("espeakng-loader", "0.2.4")
        install("en-core-web-sm", "3.8.0")
        found = check_speech()
        assert found is not None
        assert (found.state, found.found) == ("ok", "espeak-ng from espeakng-loader")
