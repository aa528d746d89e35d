"""Names out of a library's own tables, read from its source without importing it."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

Table = dict[str, tuple[str, ...]]


def names_in_mapping(module: str, table: str) -> Table:
    """Return a table that a module defines, with the names of classes in the place of the classes.

    The table is a dict, or an OrderedDict of pairs, of texts to a class, its name, or a tuple of these, and what is
    added to it by key, if on conditions. So a claim can go by what the installed version of a library knows, where
    importing that library would take seconds. Empty where the library is not installed or has no such table.
    """
    return _tables_in(module).get(table, {})


@cache
def _tables_in(module: str) -> dict[str, Table]:
    """Return all tables of a module by name: to parse a large one takes as long as some requests."""
    tables: dict[str, Table] = {}
    for node in _assignments(_tree_of(module).body):
        for target in node.targets:
            match target:
                case ast.Name(id=table):
                    tables.setdefault(table, {}).update(_pairs_in(node.value))
                case ast.Subscript(value=ast.Name(id=table), slice=ast.Constant(value=str(key))):
                    tables.setdefault(table, {})[key] = tuple(_names_in(node.value))
    return {name: found for name, found in tables.items() if found}


def _tree_of(module: str) -> ast.Module:
    package, _, rest = module.partition(".")
    # Only the package itself is looked up: to find a module inside it Python would import what stands above.
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *rest.split(".")).with_suffix(".py")
        if path.is_file():
            return ast.parse(path.read_bytes())
    return ast.Module(body=[], type_ignores=[])


def _assignments(body: list[ast.stmt]) -> Iterator[ast.Assign]:
    """Yield the assignments of a module in order, those that stand on conditions among them."""
    for node in body:
        if isinstance(node, ast.Assign):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _assignments([*node.body, *node.orelse])


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
