"""Makes everything that measurements need and that takes long, so that a run only measures."""

from bench.chat import Sizes
from bench.models import chat_model
from bench.peers import ENVIRONMENTS
from bench.setting import Setting, cores

GGUF = "gguf-"
"""How the names of the measurements of GGUF models begin."""


def prepare(setting: Setting, names: list[str]) -> None:
    """Make the models and install the peers of some measurements, or of all where none is named."""
    if not names or any(not name.startswith(GGUF) for name in names):
        for environment in ENVIRONMENTS:
            environment.make(setting)
        chat_model(setting.folder, Sizes().shape)
    if not names or any(name.startswith(GGUF) for name in names):
        _prepare_gguf(setting)


def _prepare_gguf(setting: Setting) -> None:
    from bench.llama import llama_server, models
    from bench.llama.servers import install_packages
    from bench.llama.setting import sizes_of

    sizes = sizes_of(setting)
    for kind in sizes.files:
        for repeats in (False, True):
            models.text_model(setting.folder, sizes.shape, kind, setting.threads, repeats=repeats)
    models.embedding_model(setting.folder)
    models.forget_sources(setting.folder)
    install_packages(setting.folder)
    print(f"llama-server: {llama_server.find(setting.folder) or llama_server.build(setting.folder, cores())}")
