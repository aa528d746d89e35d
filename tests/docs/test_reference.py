"""The documentation says what the code says: every setting, endpoint, error, hook, command and public name is there."""

import inspect
import json
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from starlette.routing import Route, WebSocketRoute

import universal_core
import universal_core.conversation
import universal_core.http
import universal_core.testing
from universal_core import errors, hookspecs
from universal_core.app import routes
from universal_core.cli.main import universal
from universal_core.config import Config, ModelConfig, PluginsConfig, Setting, load, settings
from universal_core.config.load import PREFIX
from universal_core.runtime import Runtime

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FIELDS_OF = ("Backend", "Claim", "MemoryEstimate", "ModelRef", "ModelInfo", "ModelFile", "RequestRecord")
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def rows_of(page: str, below: str = "") -> dict[str, str]:
    """Return the rows of a page's tables by the names in their first cell, those of one section or of all."""
    text = text_of(page)
    if below:
        text = re.split(rf"^#+ {re.escape(below)}$", text, maxsplit=1, flags=re.MULTILINE)[-1]
        text = re.split(r"^#", text, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def headings_of(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub and most renderers make of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def check(page: str, missing: Iterable[str], stale: Iterable[str]) -> None:
    problems = [f"add to docs/{page}: {entry}" for entry in missing]
    problems += [f"remove from docs/{page}, for it is gone from the code: {entry}" for entry in stale]
    assert not problems, "\n" + "\n".join(problems)


def setting_row(setting: Setting) -> str:
    general = f"{PREFIX}{setting.section}_{setting.field}".upper()
    variables = ", ".join(f"`{name}`" for name in dict.fromkeys((setting.variable, general)))
    return f"| `{setting.name}` | {variables} | `{setting.flag}` | {default_of(setting)} | {setting.description} |"


def default_of(setting: Setting) -> str:
    match setting.default:
        case None | ():
            return "none"
        case float(number) if number.is_integer():
            return f"`{number:.0f}`"
        case str(text):
            return f"`{text}`"
        case value:
            return f"`{json.dumps(value)}`"


def test_every_setting_has_its_row() -> None:
    page = "reference/settings.md"
    known = {setting.name: setting_row(setting) for setting in settings()}
    rows = {name: row for name, row in rows_of(page).items() if "." in name}
    check(page, [row for name, row in known.items() if rows.get(name) != row], rows.keys() - known.keys())


def test_every_section_has_its_heading_and_words() -> None:
    page = "reference/settings.md"
    sections = {field.name: field.type for field in msgspec.structs.fields(Config) if field.name != "model"}
    expected = {name: f"## {name}\n\n{inspect.cleandoc(section.__doc__ or '')}" for name, section in sections.items()}
    check(page, [words for words in expected.values() if words not in text_of(page)], [])


@pytest.mark.parametrize(
    ("page", "below"), [("reference/settings.md", "model"), ("how-to/configure-a-model.md", "Options and aliases")]
)
def test_every_field_of_a_model_has_its_row(page: str, below: str) -> None:
    rows, known = rows_of(page, below), set(ModelConfig.__struct_fields__)
    check(page, [f"a row for `{name}` below {below}" for name in known - rows.keys()], rows.keys() - known)


def core_endpoints() -> set[str]:
    plugins = tuple(point.name for point in entry_points(group=hookspecs.PROJECT))
    found = routes(Runtime(Config(plugins=PluginsConfig(block=plugins))))
    names = set()
    for route in found:
        assert isinstance(route, Route | WebSocketRoute)
        methods = set(route.methods or ()) - {"HEAD"} if isinstance(route, Route) else {"WS"}
        names |= {f"{method} {re.sub(r':[a-z]+}', '}', route.path)}" for method in methods}
    return names


def test_every_endpoint_has_its_heading() -> None:
    page = "reference/endpoints.md"
    headings = {heading for heading in headings_of(page) if " /" in heading}
    known = core_endpoints()
    check(page, [f"a heading `## {name}`" for name in sorted(known - headings)], headings - known)


def error_row(name: str, error: type[errors.UniversalError]) -> str:
    code = f"`{error.code}`" if error.code else "none"
    return f"| `{name}` | {error.status} | `{error.type}` | {code} | {'yes' if error.retryable else 'no'} |"


def test_every_error_has_its_row() -> None:
    page = "reference/errors.md"
    classes = {
        name: error for name, error in errors.error_classes().items() if error.__module__.startswith("universal_core.")
    }
    rows = rows_of(page)
    missing = [
        error_row(n, error) for n, error in classes.items() if not rows.get(n, "").startswith(error_row(n, error))
    ]
    check(page, missing, rows.keys() - classes.keys())


def test_every_hook_has_its_heading_and_signature() -> None:
    page = "reference/hooks.md"
    hooks = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, f"{hookspecs.PROJECT}_spec")}
    expected = {
        name: f"### {name}\n\n    {name}{inspect.signature(hook)}\n".replace("'", "") for name, hook in hooks.items()
    }
    headings = {heading for heading in headings_of(page) if "_" in heading}
    check(page, [words for words in expected.values() if words not in text_of(page)], headings - hooks.keys())


def test_every_command_has_its_heading_and_options() -> None:
    page = "reference/commands.md"
    context = click.Context(universal)
    commands = [universal.get_command(context, name) for name in universal.list_commands(context)]
    names = {f"universal {command.name}": command for command in commands if command is not None}
    missing = [f"a heading `## {name}`" for name in names.keys() - set(headings_of(page))]
    flags = {setting.flag for setting in settings()}
    for name, command in names.items():
        own = [parameter for parameter in command.params if not flags & set(parameter.opts)]
        missing += [f"below {name}: {label_of(p)}" for p in own if label_of(p) not in " ".join(rows_of(page, name))]
    stale = [heading for heading in headings_of(page) if heading.startswith("universal ") and heading not in names]
    check(page, missing, stale)


def label_of(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else (parameter.name or "").upper()


@pytest.mark.parametrize(
    ("module", "below"),
    [
        (universal_core.conversation, "universal_core.conversation"),
        (universal_core.http, "universal_core.http"),
        (universal_core.testing, "universal_core.testing"),
    ],
    ids=["conversation", "http", "testing"],
)
def test_every_name_of_a_public_package_has_its_row(module: Any, below: str) -> None:
    page = "reference/plugin-api.md"
    rows, known = rows_of(page, below), set(module.__all__)
    check(page, [f"a row for `{name}` below {below}" for name in known - rows.keys()], rows.keys() - known)


def test_every_name_of_the_top_level_is_explained() -> None:
    page = "reference/plugin-api.md"
    top, _, _ = text_of(page).partition("## universal_core.conversation")
    explained = set(re.findall(r"`(\w+)`", top))
    tables = rows_of(page, "universal_core").keys() | rows_of(page, "Messages").keys()
    known = set(universal_core.__all__)
    check(page, [f"what `{name}` is" for name in sorted(known - explained)], tables - known)


@pytest.mark.parametrize("name", FIELDS_OF)
def test_every_field_of_the_plugin_interface_has_its_row(name: str) -> None:
    page = "reference/plugin-api.md"
    rows, known = rows_of(page, name), set(getattr(universal_core, name).__struct_fields__)
    check(page, [f"a row for `{field}` below {name}" for field in known - rows.keys()], rows.keys() - known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert not broken, f"these links of {page.relative_to(DOCS)} lead nowhere: {broken}"


def test_the_first_page_links_to_all_others() -> None:
    links = {link.partition("#")[0] for link in _LINK.findall(text_of("index.md"))}
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES} - {"index.md"}
    check("index.md", [f"a link to {page}" for page in sorted(pages - links)], [])


def configurations() -> list[Any]:
    found = []
    for page in PAGES:
        blocks = [block for block in _TOML.findall(page.read_text("utf-8")) if "project" not in tomllib.loads(block)]
        name = page.relative_to(DOCS).as_posix()
        found += [pytest.param(block, id=f"{name}-{number}") for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize("block", configurations())
def test_configurations_that_are_shown_can_be_used(block: str, tmp_path: Path) -> None:
    file = tmp_path / "universal.toml"
    file.write_text(block, "utf-8")
    assert load(str(file), environment={}).file == str(file)
