"""What another configuration means for a running server: which models it loads, and which go on as they are."""

from collections.abc import Iterable, Mapping

from universal_core.adapters import is_pinned
from universal_core.config import Config, ConfigError
from universal_core.entry import Entry, Plan
from universal_core.errors import BadRequest
from universal_core.router import Router


def wanted(config: Config) -> list[str]:
    """Return the models that are to be loaded when the server starts, each once."""
    pinned = (name for name, entry in config.model.items() if entry.pinned)
    return list(dict.fromkeys((*config.models.preload, *pinned)))


def newly_wanted(before: Config, after: Config, plans: Mapping[Entry, Plan | None]) -> list[str]:
    """Return the models to load by a later configuration: those that it is the first to want, and pinned ones anew.

    ``plans`` are those by which models in memory go on, None for one that does not.
    """
    left = {entry.plan.name for entry, plan in plans.items() if plan is None}
    old = set(wanted(before))
    return [name for name in wanted(after) if name not in old or (name in left and is_pinned(after, name))]


def differ(before: Config, after: Config, name: str) -> bool:
    """Whether two configurations say something different about a model."""
    return _said_of(before, name) != _said_of(after, name)


def _said_of(config: Config, name: str) -> tuple[object, ...]:
    return config.model.get(name), is_pinned(config, name), config.workers.device, config.models.runtime_backend


def replan(router: Router, entries: Iterable[Entry]) -> list[Plan | None]:
    """Return the plan by which each of some models in memory goes on, None for one that is now run another way.

    Raises ConfigError for a configuration that is wrong; may read disks and the network.
    """
    return [_replan(router, entry.plan) for entry in entries]


def _replan(router: Router, plan: Plan) -> Plan | None:
    try:
        return router.replan(plan)
    except BadRequest as error:
        raise ConfigError(f"model.{plan.name}: {error.message}") from None
