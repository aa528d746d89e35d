"""From a model's name and a task to a running job: finds the model, picks the claim, and waits for the worker."""

import asyncio
import difflib
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from universal_core import adapters
from universal_core.call import Call
from universal_core.catalogue import KnownPlugin, plugin_for_model, plugin_for_task
from universal_core.config import Config, ModelConfig, is_offline
from universal_core.entry import Plan
from universal_core.errors import BadRequest, ModelNotFound, TaskNotSupported, UniversalError, UnsupportedField
from universal_core.execution import configured_options, options_for
from universal_core.memory import Device, devices
from universal_core.messages import Request
from universal_core.models import Backend, Claim, ModelInfo, ModelRef
from universal_core.placement import MACHINE
from universal_core.plugins import Plugins
from universal_core.pool import Pool
from universal_core.record import RequestRecord

KEPT_PLANS = 1024
PLAN_LIFETIME = 5.0
"""Seconds for which a plan of a model that is not loaded is believed; files may change on disk."""


class Found(msgspec.Struct, frozen=True):
    """A model with all that is offered for it, best claim first."""

    name: str
    info: ModelInfo
    claims: tuple[Claim, ...]
    entry: ModelConfig
    adapter: str | None = None
    base: str | None = None
    """Where an adapter is meant, the name of the model that it stands over."""


class Router:
    """Decides which backend runs a request, and runs it there."""

    def __init__(self, config: Config, plugins: Plugins, pool: Pool, generation: int = 0) -> None:
        """``generation`` counts the configurations that the server has had; plans bear it."""
        self.generation = generation
        self._config = config
        self._plugins = plugins
        self._pool = pool
        self._backends = plugins.backends
        self._plans: dict[tuple[str, str], tuple[float, Plan]] = {}
        self._making: dict[tuple[str, str], asyncio.Future[Plan]] = {}

    async def plan(self, text: str | None, task: str | None = None) -> Plan:
        """Return how a model is to be run for a task, or for whatever it does best.

        Raises ModelNotFound, TaskNotSupported, BadRequest.
        """
        name = text or self._config.models.default
        if not name:
            raise BadRequest("name a model, for instance universal/starter; GET /v1/models lists them", param="model")
        moment, plan = self._plans.get((name, task or ""), (0.0, None))
        if plan is not None and (plan.key in self._pool.entries or time.monotonic() - moment < PLAN_LIFETIME):
            return plan
        making = self._making.get((name, task or ""))
        if making is None:
            making = self._making[name, task or ""] = asyncio.ensure_future(self._make(name, task))
            making.add_done_callback(lambda _: self._making.pop((name, task or "")))
        # Several requests wait for one look, which goes on when one of them gives up.
        await asyncio.wait({making})
        return making.result()

    async def _make(self, name: str, task: str | None) -> Plan:
        # Sources read disks and ask the hub: never on the event loop.
        plan = await asyncio.to_thread(lambda: self.choose(self.find(name), task))
        while len(self._plans) >= KEPT_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[name, task or ""] = (time.monotonic(), plan)
        return plan

    def find(self, name: str) -> Found:
        """Return the model of this name and every claim to it; of ``base:adapter`` those of the base.

        Raises ModelNotFound, BadRequest; may read disks and the network.
        """
        adapted = adapters.find_adapted(self._config, name)
        if adapted is not None:
            adapters.refuse_settings(self._config, name, adapted)
            base = self.find(adapted.base)
            return msgspec.structs.replace(base, name=name, adapter=adapted.adapter, base=base.name)
        return self._find(name)

    def _find(self, name: str) -> Found:
        entry = self._config.model.get(name, ModelConfig())
        ref = ModelRef.parse(entry.model or name)
        try:
            info = self._plugins.find(ref)
        except ModelNotFound as error:
            raise ModelNotFound(f"{error.message}{self.near(name)}", param="model") from None
        if info is None:
            raise ModelNotFound(f"model {name!r} was not found{self.near(name)}{_hub_advice()}", param="model")
        with adapters.told_of(self._config, name, info):
            claims = tuple(self.claims(info, entry))
        return Found(name if name in self._config.model else info.id, info, claims, entry)

    def claims(self, info: ModelInfo, entry: ModelConfig | None = None) -> list[Claim]:
        """Return every claim, best first: the configured backend, then rank, the preferred engine, and name."""
        pinned, engine = entry.backend if entry else None, self._config.models.runtime_backend

        def order(claim: Claim) -> tuple[object, ...]:
            return claim.backend != pinned, -claim.rank, self._backends[claim.backend].engine != engine, claim.backend

        return sorted(self._plugins.claims(info), key=order)

    def forget(self) -> None:
        """Plan every model anew when it is asked for next: files have changed."""
        self._plans.clear()

    def near(self, name: str) -> str:
        """Return the names like this one that are on this machine, as the end of a message about it."""
        known = [info.id for _, found in self._plugins.ask_each("list_models") for info in found or ()]
        known += self._config.model
        close = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.4)
        close += [other for other in dict.fromkeys(known) if name.lower() in other.lower() and other not in close][:3]
        others = adapters.near(self._config, name)
        return others or f"; on this machine are {', '.join(close)}" if close else "; GET /v1/models lists what is here"

    def choose(self, found: Found, task: str | None) -> Plan:
        """Return the plan for the best claim that offers the task. Raises TaskNotSupported, BadRequest."""
        claims = found.claims
        if found.entry.backend:
            claims = tuple(claim for claim in claims if claim.backend == found.entry.backend)
            if not claims:
                raise TaskNotSupported(
                    f"{found.name} is configured for backend {found.entry.backend}, which does not claim it",
                    param="model",
                )
        if not claims:
            kind = f" ({', '.join(found.info.architectures)})" if found.info.architectures else ""
            advice = self._advice(found.info)
            raise TaskNotSupported(f"no installed plugin runs {found.name}{kind}{advice}", param="model")
        able = [claim for claim in claims if set(found.entry.tasks) <= set(claim.tasks)]
        fitting = [claim for claim in able if task is None or task in claim.tasks]
        if not fitting:
            wanted = task or ", ".join(found.entry.tasks)
            raise TaskNotSupported(self._cannot(found.name, wanted, claims), param="model")
        backend = self._backends[fitting[0].backend]
        options = options_for(backend, configured_options(backend, found.entry), self._config.workers.device)
        # A backend whose jobs at once can be configured calls that option ``slots``; claims only know its default.
        slots = options.get("slots", fitting[0].slots)
        places = tuple(device.type for device in self._devices(backend, options))
        memory = self._plugins.estimate(found.info, fitting[0], options, places[0])
        plan = Plan(
            name=found.base or found.name,
            info=found.info,
            claim=msgspec.structs.replace(fitting[0], slots=slots, memory=memory),
            backend=backend,
            options=options,
            pinned=adapters.is_pinned(self._config, found.base or found.name),
            devices=places,
            unload_timeout=found.entry.unload_timeout,
            task=task,
            generation=self.generation,
        )
        return plan.adapted(found.name, found.adapter) if found.adapter else plan

    def replan(self, plan: Plan) -> Plan | None:
        """Return the plan for a model in memory that another router planned; None where it would be run another way.

        Raises BadRequest for a configuration that is wrong; may read disks and the network.
        """
        try:
            found = self.find(plan.name)
        except BadRequest:
            raise
        except UniversalError:
            return None
        for task in plan.claim.tasks:
            try:
                now = self.choose(found, task)
            except TaskNotSupported:
                continue
            if now.key == plan.key:
                return now if _is_same(now, plan) else None
        return None

    def _advice(self, info: ModelInfo) -> str:
        """Return what to do about a plugin that seems to be missing: install it, or see why it does not help."""
        plugin = plugin_for_model(info)
        if plugin is None:
            return "; `universal plugins` lists what is installed"
        name, state = plugin.distribution, self._state(plugin)
        if state is None:
            return f"; it looks like one for `{plugin.command}`"
        if state == "active" and (missing := self._missing(plugin)):
            return f"; {name} is installed without the libraries for {', '.join(missing)}: `{plugin.command}`"
        if state == "active":
            lack = "" if info.matching("*.safetensors", "*.gguf") else " without weights in safetensors"
            return f"; {name} is installed, but does not run models of this kind{lack}"
        return f"; {name} is installed but {state}: `universal plugins` says why"

    def _cannot(self, name: str, task: str, claims: tuple[Claim, ...]) -> str:
        able = "; ".join(f"{claim.backend} runs it for {', '.join(claim.tasks)}" for claim in claims)
        plugin = plugin_for_task(task)
        if plugin is None or (self._state(plugin) == "active" and task not in self._missing(plugin)):
            hint = f"name a model that is made for {task}"
        else:
            hint = f"models for {task} come with `{plugin.command}`"
        return f"{name} cannot be used for {task}: {able}; {hint}"

    def _missing(self, plugin: KnownPlugin) -> list[str]:
        """Return the tasks that an installed plugin does not offer, because their libraries are not there."""
        offered = {
            task for found in self._plugins.installed if found.origin == plugin.distribution for task in found.tasks
        }
        return [task for task in plugin.optional if task not in offered]

    def _state(self, plugin: KnownPlugin) -> str | None:
        """Return what became of a plugin of the project, None where it is not installed."""
        return {found.origin: found.state for found in self._plugins.installed}.get(plugin.distribution)

    @staticmethod
    def _devices(backend: Backend, options: dict[str, Any]) -> tuple[Device, ...]:
        """Return where a model may be: only a backend with a ``device`` option leaves the processor."""
        known = "device" in backend.options.__struct_fields__
        return devices(options.get("device", "auto") if known else MACHINE)

    def call(
        self,
        plan: Plan,
        task: str,
        request: Request,
        *,
        key: str = "",
        request_id: str = "",
        trace: Mapping[str, str] | None = None,
    ) -> Call:
        """Return a request on its way to a model. Raises UnsupportedField for what the claim does not honour."""
        if plan.adapter is not None:
            request = adapters.with_adapter(request, plan.adapter, plan.name)
        refuse_unsupported(request, plan.claim)
        timeout = self._config.pool.request_timeout
        return Call(self._pool, plan, task, request, key, request_id, timeout, self._tell, trace)

    def _tell(self, record: RequestRecord) -> None:
        self._plugins.tell("request_finished", record=record)


def _is_same(one: Plan, other: Plan) -> bool:
    """Whether a worker of one plan can serve the other: nothing that it was loaded with differs."""
    return (one.options, one.claim.slots, one.info.ref) == (other.options, other.claim.slots, other.info.ref)


def refuse_unsupported(request: Request, claim: Claim) -> None:
    """Raise UnsupportedField for the first field in use that a claim does not honour."""
    honoured = set(claim.fields)
    for feature, param in request.features().items():
        if feature not in honoured:
            what = "it" if feature == param else feature
            raise UnsupportedField(
                f"{param}: backend {claim.backend} does not support {what} for this model; leave it out"
                + (f" (it supports {', '.join(sorted(honoured))})" if honoured else ""),
                param=param,
            )


def _hub_advice() -> str:
    if is_offline():
        return ". The hub was not asked, because the server is offline (hub.offline or HF_HUB_OFFLINE)"
    return ". A private model of the hub needs HF_TOKEN"
