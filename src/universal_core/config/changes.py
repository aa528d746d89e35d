"""What a configuration that was read again changes, and what of it a running server cannot take."""

import msgspec

from universal_core.config.load import settings
from universal_core.config.sections import Config


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is different: settings and models by name, as in the file.

    ``config`` is what to go on with: the new values, and the old ones of what needs a restart.
    """

    config: Config
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def compare(old: Config, new: Config) -> Changes:
    """Return what changes from one configuration to another."""
    kept: dict[str, dict[str, object]] = {}
    changed, needs_restart = [], []
    for setting in settings():
        before, after = (getattr(getattr(config, setting.section), setting.field) for config in (old, new))
        if before == after:
            continue
        if setting.needs_restart:
            needs_restart.append(setting.name)
            kept.setdefault(setting.section, {})[setting.field] = before
        else:
            changed.append(setting.name)
    names = dict.fromkeys((*old.model, *new.model))
    changed += [f"model.{name}" for name in names if old.model.get(name) != new.model.get(name)]
    sections = {section: msgspec.structs.replace(getattr(new, section), **fields) for section, fields in kept.items()}
    return Changes(
        config=msgspec.structs.replace(new, **sections), changed=tuple(changed), needs_restart=tuple(needs_restart)
    )
