"""All checks, in the order in which they are told."""

from collections.abc import Iterable, Iterator

import msgspec

from universal_core.checkup.findings import Finding, ok, problem
from universal_core.checkup.imports import check_cuda, check_imports
from universal_core.checkup.interpreter import check_clock, check_python
from universal_core.checkup.machine import check_device, check_disk, check_memory, check_places, find_driver
from universal_core.checkup.network import HubAnswer, ask_hub, check_hub, check_port, check_token
from universal_core.checkup.packages import (
    check_libraries,
    check_llama,
    check_plugins,
    check_requirements,
    check_speech,
    check_torch,
    check_torchvision,
)
from universal_core.config import Config, ConfigError, apply_hub, is_offline, load, publish_folder
from universal_core.plugins import Plugins


class Situation(msgspec.Struct, frozen=True):
    """What is examined: the configuration that would be used, where it came from, and what is wrong with it."""

    config: Config
    file: str | None = None
    mistake: str | None = None

    @classmethod
    def of(cls, file: str | None) -> "Situation":
        """Return the situation with a configuration file, with the usual one for None; a broken one is left out."""
        try:
            loaded = load(file)
        except ConfigError as error:
            return cls(Config(), file, error.message)
        publish_folder(loaded)
        return cls(loaded.config, loaded.file)


def examine(situation: Situation, thorough: bool = False) -> Iterator[Finding]:
    """Yield what every check finds; nothing is loaded, changed or downloaded.

    Takes no more than 3 seconds, unless it is ``thorough``: then libraries are imported, too.
    """
    config = situation.config
    apply_hub(config.hub)
    answer = None if is_offline() else ask_hub()
    driver = find_driver()
    plugins = Plugins(config.plugins.block)
    yield check_python()
    yield check_configuration(situation)
    yield from check_plugins(plugins.installed)
    yield check_requirements(plugins.installed)
    yield check_libraries(plugins.installed)
    yield check_device(config, driver)
    yield check_torch(driver)
    yield from given(check_torchvision(), check_llama(driver), check_speech())
    yield check_memory(config)
    yield check_disk()
    yield from check_places(config)
    yield check_port(config)
    yield check_hub(answer)
    yield check_token(answer)
    yield check_clock(answer.time if isinstance(answer, HubAnswer) else None)
    if thorough:
        yield from check_imports(plugins.backends.values())
        yield from check_cuda(driver)


def given(*findings: Finding | None) -> Iterable[Finding]:
    """Return the findings of those checks that had something to look at."""
    return [finding for finding in findings if finding is not None]


def check_configuration(situation: Situation) -> Finding:
    """Tell which configuration is used, and what is wrong with it."""
    if situation.mistake:
        return problem(
            "configuration",
            f"{situation.mistake} (all that follows is with the defaults)",
            "correct it where the message says; `universal config` tells what counts",
        )
    return ok("configuration", situation.file or "no file: environment and defaults")
