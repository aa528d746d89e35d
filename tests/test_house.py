"""The rules of the house, checked: who may import whom, how long things may be, what names and excepts are out."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "universal_core"

# Each module or package of the core imports only what stands in a line above it; those of one line never import each
# other. `__init__` is what plugin authors import, so it stands above what is none of their business.
ORDER = """
sizes
errors models messages record
hookspecs options library batching config memory hardware catalogue reading
cores
__init__
logs plugins execution frames journal adapters
jobs
worker
nursery
process
launcher queueing
downloads
entry
placement busy uses
budget measurements
room
pool
states
call
router metrics tracing
revision
checkup explain runtime
http media archive gallery pictures pytorch repositories
conversation sources openai testing
continuous_batching
anthropic vision
app
serve
cli
__main__
"""
PLACE = {name: line for line, names in enumerate(ORDER.split("\n")) for name in names.split()}

# These libraries stay where they are: everything else is written without knowing them.
ONLY_IN = {
    "starlette": {"http", "openai", "anthropic", "vision", "app"},
    "hypercorn": {"serve"},
    "opentelemetry": {"tracing"},
    "pluggy": {"hookspecs", "plugins"},
    "prometheus_client": {"metrics"},
    "click": {"cli"},
    "rich": {"cli"},
}
MACHINE_LEARNING = {
    *("accelerate", "av", "bitsandbytes", "ctranslate2", "diffusers", "faster_whisper", "jax", "kokoro", "llama_cpp"),
    *("misaki", "numpy", "onnxruntime", "peft", "safetensors", "scipy", "sentence_transformers", "sklearn", "spacy"),
    *("tensorflow", "tokenizers", "torch", "torchaudio", "torchvision", "transformers", "triton", "vllm"),
}
FOR_PLUGINS = {
    *(
        "universal_core",
        "universal_core.continuous_batching",
        "universal_core.conversation",
        "universal_core.http",
        "universal_core.media",
    ),
    *("universal_core.pictures", "universal_core.pytorch", "universal_core.repositories"),
}
# What only the modules of models import: here several plugins share what they need of a library.
FOR_MODELS = {"continuous_batching", "pictures", "pytorch"}
FOR_TESTS_OF_PLUGINS = {"universal_core.testing"}

# What looks into a package from outside, instead of at its face.
LOOKS_INSIDE = {
    ("__main__", "universal_core.cli.main"): "the command line's face is the command `universal`",
    ("app", "universal_core.http.defaults"): "the application is put together from parts that plugins have no use for",
    ("app", "universal_core.http.errors"): "the application is put together from parts that plugins have no use for",
    ("app", "universal_core.http.scope"): "the application is put together from parts that plugins have no use for",
}

MODULE_LIMIT = 300
FUNCTION_LIMIT = 50
# "path" or "path:function" -> (limit, why it cannot be shorter)
RAISED_LIMITS: dict[str, tuple[int, str]] = {}

BANNED_SUFFIXES = ("Manager", "Handler", "Service", "Helper", "Util", "Base")
BANNED_MODULES = {"utils", "common", "helpers", "base"}

# "path:function" -> why whatever is raised there is caught and not passed on
BROAD_EXCEPTS = {
    "src/universal_core/worker.py:_begin": "the worker's boundary: a load or a download may fail in any way",
    "src/universal_core/jobs.py:run": "the worker's boundary: whatever a model raises ends its job alone",
    "src/universal_core/batching.py:attempt": "the worker's boundary: whatever a model raises belongs to its request",
    "src/universal_core/plugins.py:_load": "quarantine: a plugin is foreign code, and must not stop the server",
    "src/universal_core/plugins.py:ask_each": "a plugin that fails in a hook is logged and passed over",
    "src/universal_core/conversation/forms.py:_lark": "llguidance raises Exception "
    "itself for a GBNF grammar that it cannot read",
    "src/universal_core/conversation/engine.py:attempt": "an engine's boundary: what a step raises "
    "belongs to the jobs of that step, and the thread goes on",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def plugin_folders(part: str) -> list[Path]:
    return [path for path in [*ROOT.glob(f"plugins/*/{part}"), *ROOT.glob(f"examples/*/{part}")] if path.is_dir()]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that runs: what stands under ``if TYPE_CHECKING`` does not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every module that a file imports, wherever in the file."""
    for node in statements(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{relative(path)}:{node.lineno}: imports are absolute here"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if is_core_module(inner) else module


def is_core_module(name: str) -> bool:
    """Whether ``package.name`` is a module, and not a function that the package's face has under that name."""
    file = CORE.parent.joinpath(*name.split("."))
    if not name.startswith("universal_core") or not (file.is_dir() or file.with_suffix(".py").is_file()):
        return False
    face = [node for node in tree(file.parent / "__init__.py").body if isinstance(node, ast.ImportFrom)]
    return not any(alias.name == file.name for node in face for alias in node.names)


def part_of(name: str) -> str:
    """Return which entry of ORDER a module of the core belongs to."""
    return name.split(".")[1] if "." in name else "__init__"


def part_at(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def core_imports() -> Iterator[tuple[str, str, str]]:
    """Yield place in the code, importing part and imported module, for everything that the core imports of itself."""
    for path in sources(CORE):
        for line, name in imports(path):
            if name.partition(".")[0] == "universal_core":
                yield f"{relative(path)}:{line}", part_at(path), name


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def check(violations: list[str]) -> None:
    assert not violations, "\n" + "\n".join(violations)


def test_every_part_of_the_core_has_a_place_in_the_order() -> None:
    parts = {part_at(path) for path in sources(CORE)}
    check([f"{part} is missing from ORDER in tests/test_house.py" for part in sorted(parts - PLACE.keys())])


def test_parts_import_only_what_stands_above_them() -> None:
    check(
        [
            f"{place}: {part} may not import {name}: it does not stand above it"
            for place, part, name in core_imports()
            if part_of(name) != part and PLACE.get(part_of(name), 0) >= PLACE.get(part, 0)
        ]
    )


def test_packages_are_seen_from_outside_by_their_face_alone() -> None:
    check(
        [
            f"{place}: import this from universal_core.{part_of(name)}, not from {name}"
            for place, part, name in core_imports()
            if name.count(".") > 1 and part_of(name) != part and (part, name) not in LOOKS_INSIDE
        ]
    )


def test_libraries_stay_where_they_belong() -> None:
    found = [(path, line, name.partition(".")[0]) for path in sources(CORE) for line, name in imports(path)]
    check(
        [
            f"{relative(path)}:{line}: {library} belongs to {', '.join(sorted(ONLY_IN[library]))}"
            for path, line, library in found
            if library in ONLY_IN and part_at(path) not in ONLY_IN[library]
        ]
    )


def test_the_core_knows_no_machine_learning_library() -> None:
    check(
        [
            f"{relative(path)}:{line}: {name} is for plugins"
            for path in sources(CORE)
            for line, name in imports(path)
            if name.partition(".")[0] in MACHINE_LEARNING and part_at(path) not in FOR_MODELS
        ]
    )


@pytest.mark.parametrize(
    ("part", "allowed"), [("src", FOR_PLUGINS), ("tests", FOR_PLUGINS | FOR_TESTS_OF_PLUGINS)], ids=["code", "tests"]
)
def test_plugins_import_only_what_is_public(part: str, allowed: set[str]) -> None:
    check(
        [
            f"{relative(path)}:{line}: {name} is not for plugins; {', '.join(sorted(allowed))} are"
            for path in sources(*plugin_folders(part))
            for line, name in imports(path)
            if name.partition(".")[0] == "universal_core" and name not in allowed
        ]
    )


def test_modules_and_functions_are_short() -> None:
    violations = []
    for path in sources(CORE, *plugin_folders("src")):
        sizes = {relative(path): (len(path.read_text("utf-8").splitlines()), MODULE_LIMIT)}
        for function in functions(path):
            size = (function.end_lineno or function.lineno) - function.lineno + 1
            sizes[f"{relative(path)}:{function.name}"] = (size, FUNCTION_LIMIT)
        for place, (size, usual) in sizes.items():
            limit = RAISED_LIMITS.get(place, (usual, ""))[0]
            if size >= limit:
                violations.append(f"{place} has {size} lines; it must stay under {limit}")
    check(violations)


def test_names_say_what_a_thing_is() -> None:
    files = sources(CORE, *plugin_folders("src"))
    classes = [(path, node) for path in files for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    check(
        [f"{relative(path)}: a module named {path.stem} says nothing" for path in files if path.stem in BANNED_MODULES]
        + [
            f"{relative(path)}:{node.lineno}: {node.name} ends in a word that says nothing"
            for path, node in classes
            if node.name.endswith(BANNED_SUFFIXES)
        ]
    )


def test_only_listed_places_swallow_whatever_is_raised() -> None:
    found = {
        f"{relative(path)}:{function.name}"
        for path in sources(CORE, *plugin_folders("src"))
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not raises_again(node)
    }
    check(
        [
            f"{place} catches whatever is raised; catch what can be dealt with"
            for place in sorted(found - BROAD_EXCEPTS.keys())
        ]
        + [f"{place} catches no more; take it out of BROAD_EXCEPTS" for place in sorted(BROAD_EXCEPTS.keys() - found)]
    )


def is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {node.id for node in caught if isinstance(node, ast.Name)}
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only cleans up: it ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_exceptions_to_the_rules_are_still_needed() -> None:
    looks = {(part, name) for _, part, name in core_imports()}
    check(
        [f"{part} no longer imports {name}; take it out of LOOKS_INSIDE" for part, name in LOOKS_INSIDE.keys() - looks]
    )


def test_the_http_process_loads_no_machine_learning_library() -> None:
    """The whole application is put together, with every plugin that is installed, in a fresh interpreter."""
    program = (
        "import sys, universal_core.app, universal_core.serve, universal_core.cli.main\n"
        "from universal_core.config import Config\n"
        "from universal_core.runtime import Runtime\n"
        "universal_core.app.create_app(Runtime(Config()))\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    # Conversations are written in the models' processes: only there are templates run, and grammars followed.
    assert not loaded_by(program) & (MACHINE_LEARNING | {"jinja2", "llguidance"})


@pytest.mark.parametrize("folder", plugin_folders("src"), ids=lambda folder: folder.parent.name)
def test_the_face_of_a_plugin_loads_no_machine_learning_library(folder: Path) -> None:
    packages = [path.name for path in folder.iterdir() if (path / "__init__.py").is_file()]
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        f"import {', '.join(packages)}\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert not loaded_by(program) & MACHINE_LEARNING


def loaded_by(program: str) -> set[str]:
    """Return the top-level names of all modules in memory when a program that prints them has run."""
    finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(finished.stdout.split())
