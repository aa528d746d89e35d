"""Finds plugins by their entry points, keeps the broken ones from doing harm, and asks the others."""

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
import pluggy

from universal_core import hookspecs
from universal_core.errors import UniversalError
from universal_core.hookspecs import PROJECT
from universal_core.models import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef

log = logging.getLogger(__name__)

SUPPORTED_API_VERSIONS = (1,)
"""The plugin interface's versions that this core accepts: its own and the one before."""

SOURCES = (
    "universal_core.sources.hub",
    "universal_core.sources.cache",
    "universal_core.sources.folders",
    "universal_core.sources.local",
)
SERVER = (
    *SOURCES,
    "universal_core.journal",
    "universal_core.openai.health",
    "universal_core.openai.configuration",
    "universal_core.openai.metrics",
    "universal_core.openai.pulls",
    "universal_core.openai.models",
    "universal_core.openai.deleting",
    "universal_core.openai.tokens",
    "universal_core.openai.rerank",
    "universal_core.openai.classify",
    "universal_core.openai.embeddings",
    "universal_core.openai.transcriptions",
    "universal_core.openai.transcription_socket",
    "universal_core.openai.speech",
    "universal_core.openai.speech_socket",
    "universal_core.openai.voices",
    "universal_core.openai.images",
    "universal_core.vision.captions",
    "universal_core.vision.regions",
    "universal_core.vision.embeddings",
    "universal_core.vision.predictions",
    "universal_core.anthropic.messages",
    "universal_core.openai.completions",
    "universal_core.openai.responses",
    "universal_core.openai.chat",
)
COMMANDS = (
    "universal_core.cli.config",
    "universal_core.cli.doctor",
    "universal_core.cli.list",
    "universal_core.cli.ps",
    "universal_core.cli.pull",
    "universal_core.cli.rm",
    "universal_core.cli.load",
    "universal_core.cli.unload",
    "universal_core.cli.completion",
    "universal_core.cli.plugins",
    "universal_core.cli.explain",
    "universal_core.cli.bench",
    "universal_core.cli.embed",
    "universal_core.cli.transcribe",
    "universal_core.cli.speak",
    "universal_core.cli.image",
    "universal_core.cli.run",
    "universal_core.cli.serve",
)
"""Modules of the core that answer hooks: in every process, in the server, and for the command line.

They are registered first, because pluggy asks the last registered first: everybody else comes before them.
"""


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """An installed plugin and what became of it: ``active``, ``blocked`` or ``quarantined`` (with the reason)."""

    name: str
    version: str
    origin: str
    state: str
    error: str | None = None
    hooks: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


class Plugins:
    """All plugins, in the order in which they are asked."""

    def __init__(self, block: Iterable[str] = (), built_ins: Iterable[str] = SOURCES) -> None:
        """Load every plugin but the blocked ones, and those of the core that this process needs."""
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.installed: list[Plugin] = []
        for module in built_ins:
            self.manager.register(importlib.import_module(module), name=module)
        for point in sorted(entry_points(group=PROJECT), key=lambda point: point.name, reverse=True):
            self.installed.insert(0, self._load(point, blocked=point.name in set(block)))

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks, to be called with keyword arguments."""
        return self.manager.hook

    def _load(self, point: EntryPoint, *, blocked: bool) -> Plugin:
        name, version = point.name, point.dist.version if point.dist else "?"
        origin = point.dist.name if point.dist else point.value
        plugin = Plugin(name=name, version=version, origin=origin, state="blocked")
        if blocked:
            self.manager.set_blocked(name)
            return plugin
        module = None
        try:
            module = point.load()
            self._check_version(module)
            if self.manager.has_plugin(name):
                raise ImportError(f"another distribution has a plugin named {name} already")
            self.manager.register(module, name=name)
            self.manager.check_pending()
            callers = self.manager.get_hookcallers(module) or []
            tasks = {task for backend in self._backends_of(name) for task in backend.tasks}
        except Exception as error:  # noqa: BLE001 - a plugin is foreign code: whatever it raises must not stop the server
            log.warning("plugin %s (%s %s) is quarantined: %s", name, origin, version, error)
            if module is not None and self.manager.get_plugin(name) is module:
                self.manager.unregister(name=name)
            return msgspec.structs.replace(plugin, state="quarantined", error=f"{type(error).__name__}: {error}")
        hooks = tuple(sorted(caller.name for caller in callers))
        return msgspec.structs.replace(plugin, state="active", hooks=hooks, tasks=tuple(sorted(tasks)))

    @staticmethod
    def _check_version(module: Any) -> None:
        stated = getattr(module, "API_VERSION", None)
        if stated not in SUPPORTED_API_VERSIONS:
            known = " or ".join(map(str, SUPPORTED_API_VERSIONS))
            raise ImportError(f"it states API_VERSION = {stated!r}, this core accepts {known}")

    def _backends_of(self, name: str) -> list[Backend]:
        return [backend for _, found in self.ask_each("register_backends", only=name) for backend in found or ()]

    def find(self, ref: ModelRef) -> ModelInfo | None:
        """Ask the sources for a model, by its full name, until one has it; an error of ours ends the search."""
        answers = self.ask_each("find_model", raising=UniversalError, ref=self.expand(ref))
        return next((info for _, info in answers if info is not None), None)

    def expand(self, ref: ModelRef) -> ModelRef:
        """Return a model's full name where a plugin knows the short one, else the name as it is."""
        full = next((name for _, name in self.ask_each("expand_name", ref=ref) if name is not None), None)
        return ref if full is None else ModelRef.parse(full)

    def deletion(self, ref: ModelRef, files: tuple[str, ...]) -> Callable[[], int] | None:
        """Ask the sources, until one has the model, for what deletes it; an error of ours ends the search."""
        answers = self.ask_each("delete_model", raising=UniversalError, ref=ref, files=files)
        return next((delete for _, delete in answers if delete is not None), None)

    def ask_each(
        self, hook: str, *, only: str | None = None, raising: type[Exception] | tuple[()] = (), **arguments: Any
    ) -> Iterator[tuple[str, Any]]:
        """Ask the plugins one by one and yield name and answer; one that raises is logged and passed over.

        ``only`` asks a single plugin, whose errors are raised, as are those of a kind that is an answer.
        """
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            name = implementation.plugin_name
            if only is not None and name != only:
                continue
            try:
                answer = self._ask(hook, implementation, arguments)
                if isinstance(answer, Iterator):
                    answer = list(answer)
            except raising:
                raise
            except Exception:  # foreign code again: the other plugins are asked all the same
                if only is not None:
                    raise
                log.exception("plugin %s failed in %s", name, hook)
                continue
            yield name, answer

    def _ask(self, hook: str, implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
        if not (implementation.wrapper or implementation.hookwrapper):
            # A caller for this plugin alone would take ten times as long, and news come with every request.
            return implementation.function(*(arguments[name] for name in implementation.argnames))
        others = self.manager.get_plugins() - {implementation.plugin}
        answers = self.manager.subset_hook_caller(hook, remove_plugins=others)(**arguments)
        return answers[0] if isinstance(answers, list) and answers else answers or None

    @cached_property
    def backends(self) -> dict[str, Backend]:
        """Every backend by name; of two with one name the first plugin's counts."""
        found: dict[str, Backend] = {}
        for name, backends in self.ask_each("register_backends"):
            for backend in backends or ():
                if backend.name in found:
                    log.warning("plugin %s: a backend named %s exists already", name, backend.name)
                found.setdefault(backend.name, backend)
        return found

    def claims(self, info: ModelInfo) -> list[Claim]:
        """Ask everyone who would run the model; an error of ours is an answer to whoever asked for it."""
        found = []
        for name, answer in self.ask_each("claim_model", raising=UniversalError, info=info):
            for claim in [answer] if isinstance(answer, Claim) else answer or ():
                if claim.backend in self.backends:
                    found.append(claim)
                else:
                    log.warning(
                        "plugin %s claims %s for %s, which is no registered backend", name, info.id, claim.backend
                    )
        return found

    def estimate(self, info: ModelInfo, claim: Claim, options: dict[str, Any], device: str) -> MemoryEstimate:
        """Return what a model will take with a backend's options on a device: the first answer, or else the claim's."""
        typed = msgspec.convert(options, self.backends[claim.backend].options)
        answers = self.ask_each("estimate_memory", info=info, claim=claim, options=typed, device=device)
        return next((answer for _, answer in answers if answer is not None), claim.memory)

    def tell(self, hook: str, **arguments: Any) -> None:
        """Pass on news to everyone."""
        for _ in self.ask_each(hook, **arguments):
            pass
