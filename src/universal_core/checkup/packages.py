"""What is installed: plugins, the versions that they ask for, and libraries that do not go together."""

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from universal_core.catalogue import KNOWN_PLUGINS
from universal_core.checkup.findings import Finding, ok, problem, warning
from universal_core.checkup.machine import Driver
from universal_core.plugins import Plugin

CORE = "universal-core"
WHEELS = "https://download.pytorch.org/whl"
_BUILD = re.compile(r"^cuda\b.*= *['\"]([\d.]+)['\"]", re.MULTILINE)


def installed(name: str) -> Distribution | None:
    """Return a distribution, None where it is not installed."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def check_plugins(plugins: list[Plugin]) -> Iterator[Finding]:
    """Tell which plugins take part, which do not and why, and which lack libraries."""
    active = [plugin for plugin in plugins if plugin.state == "active"]
    if active:
        yield ok("plugins", ", ".join(f"{plugin.name} {plugin.version}" for plugin in active))
    else:
        yield problem("plugins", "none takes part, so no model can run", 'pip install "universal-core[text]"')
    for plugin in plugins:
        if plugin.state == "quarantined":
            yield problem(
                f"plugin {plugin.name}",
                f"quarantined: {plugin.error}",
                f"pip install --upgrade --force-reinstall {plugin.origin}  # or leave it out: plugins.block",
            )
    offered = {plugin.origin: set(plugin.tasks) for plugin in active}
    for known in KNOWN_PLUGINS:
        missing = [task for task in known.optional if task not in offered.get(known.distribution, known.tasks)]
        if missing:
            yield warning(f"plugin {known.extra}", f"without the libraries for {', '.join(missing)}", known.command)


def check_requirements(plugins: list[Plugin]) -> Finding:
    """Tell whether every library of the core and the plugins is here, in a version that they can work with."""
    wrong = dict(unmet(dict.fromkeys([CORE, *(plugin.origin for plugin in plugins)])))
    if wrong:
        needed = " ".join(f'"{requirement}"' for requirement in wrong)
        return problem("requirements", "; ".join(wrong.values()), f"pip install {needed}")
    return ok("requirements", "every library is in a version that the plugins ask for")


def unmet(roots: dict[str, None]) -> Iterator[tuple[str, str]]:
    """Yield requirement and explanation for what is missing or of a wrong version, of these and all they stand on.

    What only an extra of theirs asks for may be missing, but what is there must fit.
    """
    waiting, seen = list(roots), {canonicalize_name(name) for name in roots}
    while waiting:
        name = waiting.pop(0)
        for requirement, optional in _requirements(name, extras=name in roots):
            label, there = f"{requirement.name}{requirement.specifier}", installed(requirement.name)
            if there is None and not optional:
                yield label, f"{name} needs {label}, which is not installed"
            if there is None:
                continue
            if not requirement.specifier.contains(there.version, prereleases=True):
                yield label, f"{name} needs {label}, and {there.version} is installed"
            if canonicalize_name(requirement.name) not in seen:
                seen.add(canonicalize_name(requirement.name))
                waiting.append(requirement.name)


def _requirements(name: str, *, extras: bool) -> Iterator[tuple[Requirement, bool]]:
    """Yield what a distribution asks for on this machine, and whether only an extra does."""
    found = installed(name)
    optional = (found.metadata.get_all("Provides-Extra") or []) if found and extras else []
    for text in (found.requires or ()) if found else ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            yield requirement, False
        elif any(marker.evaluate({"extra": extra}) for extra in optional):
            yield requirement, True


def check_libraries(plugins: list[Plugin]) -> Finding:
    """Tell the versions of the libraries that the plugins run models with."""
    names: dict[str, str] = {}
    for plugin in plugins:
        found = installed(plugin.origin)
        for text in (found.requires or ()) if found else ():
            name = canonicalize_name(Requirement(text).name)
            if not name.startswith("universal-") and (there := installed(name)):
                names[name] = there.version
    return ok("libraries", ", ".join(f"{name} {names[name]}" for name in sorted(names)) or "none")


def cuda_of(torch: Distribution) -> str | None:
    """Return the CUDA that PyTorch was built for, None for a build without; read from its files, it is not imported."""
    file = Path(str(torch.locate_file("torch/version.py")))
    found = _BUILD.search(file.read_text("utf-8")) if file.is_file() else None
    return found[1] if found else None


def check_torch(driver: Driver | None) -> Finding:
    """Tell PyTorch's version, and whether its build goes with the machine."""
    torch = installed("torch")
    if torch is None:
        return ok("torch", "not installed; GGUF models and faster-whisper do without")
    cuda, version = cuda_of(torch), Version(torch.version)
    text = f"{torch.version}, built for {f'CUDA {cuda}' if cuda else 'the processor'}"
    if driver is None:
        return ok("torch", text)
    if cuda is None:
        return problem("torch", f"{text}, and cannot use {driver.device.name}", _reinstall(version, driver))
    if int(cuda.partition(".")[0]) > driver.cuda[0]:
        return problem(
            "torch",
            f"{text}; the driver {driver.version} knows CUDA up to {driver.cuda[0]}.{driver.cuda[1]}",
            f"{_reinstall(version, driver)}  # or a newer driver",
        )
    return ok("torch", text)


def _reinstall(version: Version, driver: Driver) -> str:
    build = "cu130" if driver.cuda[0] >= 13 else "cu126"
    return f"pip install --force-reinstall torch=={version.public} --index-url {WHEELS}/{build}"


def check_torchvision() -> Finding | None:
    """Tell whether torchvision goes with PyTorch; where it does not, not even transformers can be imported."""
    torch, vision = installed("torch"), installed("torchvision")
    if torch is None or vision is None or sys.platform != "linux":
        return None
    label = Version(vision.version).local or "cu"
    text = f"{vision.version} beside torch {torch.version}"
    if label.startswith("cpu") == (cuda_of(torch) is None):
        return ok("torchvision", text)
    return problem(
        "torchvision",
        f"{text}: one is built for CUDA and the other is not, which breaks transformers",
        "pip uninstall --yes torchvision  # nothing here needs it",
    )


def check_llama(driver: Driver | None) -> Finding | None:
    """Tell whether llama.cpp is built for the accelerator."""
    llama = installed("llama-cpp-python")
    if llama is None:
        return None
    folder = Path(str(llama.locate_file("llama_cpp/lib")))
    cuda = any(folder.glob("*ggml-cuda*"))
    text = f"llama-cpp-python {llama.version}, built for {'CUDA' if cuda else 'Metal' if _metal() else 'the processor'}"
    if driver is None or cuda:
        return ok("llama.cpp", text)
    return problem(
        "llama.cpp",
        f"{text}, and cannot use {driver.device.name}",
        f'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir "llama-cpp-python=={llama.version}"',
    )


def _metal() -> bool:
    return sys.platform == "darwin"


def check_speech() -> Finding | None:
    """Tell whether Kokoro can spell words that are in no dictionary: espeak-ng does it."""
    if installed("kokoro") is None:
        return None
    program = shutil.which("espeak-ng")
    if installed("espeakng-loader") is None and program is None:
        return warning(
            "speech", "Kokoro is here without espeak-ng, which spells unknown words", "pip install espeakng-loader"
        )
    if installed("en-core-web-sm") is None:
        return warning(
            "speech",
            "Kokoro reads English without en_core_web_sm, so some words that are written alike sound alike",
            "python -m spacy download en_core_web_sm",
        )
    return ok("speech", f"espeak-ng from {program or 'espeakng-loader'}")
