"""Makes everything that measurements need and that takes long, so that a run only measures."""

from bench.chat import Sizes
from bench.models import chat_model
from bench.peers import ENVIRONMENTS
from bench.setting import Setting


def prepare(setting: Setting, names: list[str]) -> None:
    """Make the models and install the peers of some measurements, or of all where none is named."""
    for environment in ENVIRONMENTS:
        environment.make(setting)
    chat_model(setting.folder, Sizes().shape)
