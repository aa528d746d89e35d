"""The configured folder of models, as a variable of the environment: sources have no configuration."""

import os
from pathlib import Path

from universal_core.config.sections import ModelsConfig

_VARIABLE = "UNIVERSAL_MODELS_FOLDER"


def apply_models(config: ModelsConfig) -> None:
    """Tell the sources where the folder of models is, or that there is none any more."""
    if config.dir is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = str(Path(config.dir).expanduser().absolute())


def models_folder() -> Path | None:
    """Return the configured folder of models, None where there is none."""
    found = os.environ.get(_VARIABLE)
    return Path(found) if found else None
