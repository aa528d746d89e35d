"""Reads the configuration: file, then environment, then command line, each value with where it came from."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from universal_core.config.llamafarm import translate
from universal_core.config.sections import ALIASES, RESTART, SHORTCUTS, Config, ModelConfig
from universal_core.errors import BadRequest

PREFIX = "UNIVERSAL_RUNTIME_"
DEFAULT_FILES = ("universal.toml", "~/.universal/universal.toml")
FOLDER_VARIABLE = "UNIVERSAL_CONFIG_FOLDER"
_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class ConfigError(BadRequest):
    """A configuration that cannot be used; the message says where and what was expected."""


class Setting(msgspec.Struct, frozen=True):
    """One configurable value: its section and field, type and description, and whether it is read at the start only."""

    section: str
    field: str
    type: Any
    description: str
    default: Any
    needs_restart: bool = False

    @property
    def name(self) -> str:
        """``section.field``, as in the file."""
        return f"{self.section}.{self.field}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        own = [variable for variable, name in ALIASES.items() if name == self.name]
        return own[0] if own else f"{PREFIX}{self.section}_{self.field}".upper()

    @property
    def flag(self) -> str:
        """The option of ``universal serve`` that sets it."""
        short = self.section == "server" or self.name == "workers.device"
        return "--" + (self.field if short else f"{self.section}-{self.field}").replace("_", "-")


class Sources(msgspec.Struct, frozen=True):
    """Where a configuration is read from: a file, the variables of an environment, and values given by ``flags``.

    ``flags`` maps ``section.field`` to a value given on the command line. Without ``file`` it is looked for.
    """

    file: str | None = None
    environment: Mapping[str, str] = {}
    flags: Mapping[str, Any] = {}

    def read(self) -> "Loaded":
        """Read all of them. Raises ConfigError as ``load`` does."""
        return _load(self)


class Loaded(msgspec.Struct, frozen=True):
    """A configuration and the origin of every value that is not a default, by ``section.field``."""

    config: Config
    origins: dict[str, str]
    file: str | None = None
    sources: Sources = Sources()


def settings() -> Iterator[Setting]:
    """Yield every setting that has a flag and a variable, in order."""
    for section in msgspec.structs.fields(Config):
        if section.name == "model":
            continue
        for field in msgspec.structs.fields(section.type):
            restart = any(meta.extra == RESTART for meta in getattr(field.type, "__metadata__", ()))
            yield Setting(section.name, field.name, field.type, description(field.type), field.default, restart)


def description(annotated: Any) -> str:
    """Return the description in a field's annotation."""
    found = [meta.description for meta in getattr(annotated, "__metadata__", ()) if meta.description]
    return found[0] if found else ""


def load(
    file: str | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    """Read the configuration.

    ``flags`` maps ``section.field`` to a value given on the command line. Raises ConfigError for an unknown name,
    with the nearest known one, and for a value of the wrong type.
    """
    # A copy, because the server itself tells its workers some of its settings by variables.
    variables = dict(os.environ if environment is None else environment)
    return Sources(file, variables, flags or {}).read()


def _load(sources: Sources) -> Loaded:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = _find_file(sources.file)
    if path:
        values = _read(path)
        _check_names(values, path)
        for section, fields in values.items():
            origins.update({f"{section}.{field}": str(path) for field in fields})
    for name, (variable, value) in _from_environment(sources.environment).items():
        _assign(values, name, value)
        origins[name] = f"environment {variable}"
    known = {setting.name: setting for setting in settings()}
    for name, value in sources.flags.items():
        _assign(values, name, value)
        origins[name] = f"command line {known[name].flag}"
    return Loaded(_convert(values, origins), origins, str(path) if path else None, sources)


def publish_folder(loaded: Loaded) -> None:
    """Tell plugins, in this process and in every worker, the folder of the configuration file or of where it would be.

    They look there for files of their own. The name lacks our prefix, because it is nothing that a user sets.
    """
    file = Path(loaded.file or DEFAULT_FILES[-1]).expanduser()
    os.environ[FOLDER_VARIABLE] = str(file.absolute().parent)


def _find_file(file: str | None) -> Path | None:
    if file is None:
        found = [path for path in (Path(name).expanduser() for name in DEFAULT_FILES) if path.is_file()]
        return found[0] if found else None
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"configuration file {file} does not exist")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix in (".yaml", ".yml"):
            return translate(path.read_bytes())
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_names(values: Mapping[str, Any], path: Path) -> None:
    known: dict[str, list[str]] = {"model": []}
    for setting in settings():
        known.setdefault(setting.section, []).append(setting.field)
    for section, fields in values.items():
        if section not in known:
            raise ConfigError(f"{path}: unknown section [{section}]{nearest(section, known)}")
        if not isinstance(fields, dict):
            raise ConfigError(f"{path}: {section} is a section; write [{section}] and its fields below")
        if section != "model":
            for field in fields:
                if field not in known[section]:
                    raise ConfigError(f"{path}: unknown field {section}.{field}{nearest(field, known[section])}")


def nearest(name: str, known: Any) -> str:
    """Return a hint that names the known word most like the given one."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return ``section.field`` -> (variable, value) for every variable that is ours."""
    by_name = {s.name: s for s in settings()}
    by_variable = {variable: by_name[name] for variable, name in ALIASES.items()}
    # After the short names, so that of two variables for one setting the full one counts.
    by_variable |= {f"{PREFIX}{s.section}_{s.field}".upper(): s for s in by_name.values()}
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in by_variable:
            raise ConfigError(f"unknown environment variable {variable}{nearest(variable, by_variable)}")
    return {
        setting.name: (variable, parse(environment[variable], setting, variable))
        for variable, setting in by_variable.items()
        if variable in environment
    }


def parse(text: str, setting: Setting, origin: str) -> Any:
    """Return the value that a text from ``origin``, the environment or the command line, stands for."""
    default = setting.default
    if isinstance(default, bool):
        if text.lower() not in _TRUTHS:
            raise ConfigError(f"{origin}: expected true or false, got {text!r}")
        return _TRUTHS[text.lower()]
    if isinstance(default, tuple):
        return [item.strip() for item in text.split(",") if item.strip()]
    if default is None and text.lower() in ("", "none"):
        return None
    if isinstance(default, int | float) or setting.name == "pool.memory_limit":
        return _number(text, origin)
    return text


def _number(text: str, origin: str) -> int | float:
    try:
        return int(text) if re.fullmatch(r"[+-]?\d+", text.strip()) else float(text)
    except ValueError:
        raise ConfigError(f"{origin}: expected a number, got {text!r}") from None


def _assign(values: dict[str, Any], name: str, value: Any) -> None:
    section, field = name.split(".", 1)
    values.setdefault(section, {})[field] = value


def _convert(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """Convert every section, and every model, by itself, so that an error can name it."""
    sections: dict[str, Any] = {}
    for section in msgspec.structs.fields(Config):
        given = values.get(section.name, {})
        if section.name == "model":
            sections["model"] = {name: _convert_model(name, entry, origins) for name, entry in given.items()}
        else:
            sections[section.name] = _convert_one(given, section.type, section.name, origins)
    return Config(**sections)


def _convert_model(name: str, values: Any, origins: Mapping[str, str]) -> ModelConfig:
    entry: ModelConfig = _convert_one(values, ModelConfig, f"model.{name}", origins)
    for field, option in SHORTCUTS.items():
        if option in entry.shortcuts and option in entry.options:
            origin = origins.get(f"model.{name}")
            raise ConfigError(
                f"{origin + ': ' if origin else ''}model.{name}: {field} and options.{option} are the same; write one"
            )
    return entry


def _convert_one(values: Any, kind: type[Any], name: str, origins: Mapping[str, str]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        full = f"{name}.{place.strip('`').removeprefix('$.')}" if place else name
        if found := re.search(r"unknown field `(.*?)`", message):
            message = f"unknown field {found[1]}{nearest(found[1], kind.__struct_fields__)}"
        origin = origins.get(full) or origins.get(name)
        raise ConfigError(f"{origin + ': ' if origin else ''}{full}: {message.replace('`', '')}") from None
