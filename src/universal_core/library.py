"""Names out of a library's own tables, read from its source without importing it."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def names_in_mapping(module: str, table: str) -> dict[str, tuple[str, ...]]:
    """Return a table that a module defines, with the names of classes in the place of the classes.

    The table is a dict, or an OrderedDict of pairs, of texts to a class, its name, or a tuple of these, and what is
    added to it by key, if on conditions. So a claim can go by what the installed version of a library knows, where
    importing that library would take seconds. Empty where the library is not installed or has no such table.
    """
    assignments = [node for node in ast.walk(_tree_of(module)) if isinstance(node, ast.Assign)]
    values = [node.value for node in assignments if _assigns(node, table)]
    found = {key: names for value in values for key, names in _pairs_in(value)}
    return found | dict(_added(assignments, table))


def _tree_of(module: str) -> ast.Module:
    package, _, rest = module.partition(".")
    # Only the package itself is looked up: to find a module inside it Python would import what stands above.
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *rest.split(".")).with_suffix(".py")
        if path.is_file():
            return ast.parse(path.read_bytes())
    return ast.Module(body=[], type_ignores=[])


def _assigns(node: ast.Assign, table: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == table for target in node.targets)


def _added(assignments: list[ast.Assign], table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what is put into a table after it was made: ``TABLE["key"] = Class``."""
    for node in assignments:
        for target in node.targets:
            match target:
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == table:
                    yield key, tuple(_names_in(node.value))


def _pairs_in(value: ast.expr) -> Iterator[tuple[str, tuple[str, ...]]]:
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    if isinstance(value, ast.Dict):
        pairs = list(zip(value.keys, value.values, strict=True))
    elif isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.List):
        pairs = [(pair.elts[0], pair.elts[1]) for pair in value.args[0].elts if isinstance(pair, ast.Tuple)]
    for key, named in pairs:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, tuple(_names_in(named))


def _names_in(value: ast.expr) -> Iterator[str]:
    for node in value.elts if isinstance(value, ast.Tuple | ast.List) else (value,):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
