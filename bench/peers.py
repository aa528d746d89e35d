"""Servers of others from the package index, each in an environment of its own, made once by ``prepare``.

All are given the threads of the run by the variables that PyTorch reads, and otherwise what is best for them: see
``COMMANDS`` and README.md.
"""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.servers import Server, free_port, program
from bench.setting import Setting

CONTINUOUS, SERVE = "transformers serve --continuous-batching", "transformers serve"
INFINITY, INFINITY_BF16 = "infinity", "infinity, bfloat16"


class Environment(NamedTuple):
    """Packages that live together: what one or several peers are started from."""

    name: str
    packages: tuple[str, ...]

    def folder(self, setting: Setting) -> Path:
        """Return where it is."""
        return setting.folder / "peers" / self.name

    def python(self, setting: Setting) -> Path:
        """Return its interpreter."""
        return self.folder(setting) / "bin" / "python"

    def ready(self, setting: Setting) -> bool:
        """Whether it is complete, and of these packages."""
        stamp = self.folder(setting) / "complete"
        return stamp.exists() and stamp.read_text().split("\n") == list(self.packages)

    def make(self, setting: Setting) -> None:
        """Make it, unless it is there."""
        if self.ready(setting):
            return
        folder = self.folder(setting)
        print(f"installing {', '.join(self.packages)} into {folder} ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run((sys.executable, "-m", "venv", folder), check=True)
        subprocess.run((self.python(setting), "-m", "pip", "install", "--quiet", *self.packages), check=True)
        (folder / "complete").write_text("\n".join(self.packages))


def _same(name: str) -> str:
    """Return a requirement of the version that is installed here; a local one (``+cpu``) is the index's own."""
    return importlib.metadata.version(name).partition("+")[0]


TRANSFORMERS = Environment(
    "transformers", (f"torch=={_same('torch')}", f"transformers[serving]=={_same('transformers')}")
)
INFINITIES = Environment(
    "infinity",
    (
        f"torch=={_same('torch')}",
        "infinity-emb[server]==0.0.78",
        # The newest that its way of packing texts for BERT-like models works with.
        "transformers==4.48.3",
        "sentence-transformers==3.4.1",
        "optimum==1.27.0",
        "numpy<2",
    ),
)
ENVIRONMENTS = (TRANSFORMERS, INFINITIES)
PEERS = {CONTINUOUS: TRANSFORMERS, SERVE: TRANSFORMERS, INFINITY: INFINITIES, INFINITY_BF16: INFINITIES}

CACHE_PAGES = 64
"""Pages of 256 tokens in the cache of continuous batching on a CPU: by itself it takes most of the free memory."""


def there(setting: Setting, names: tuple[str, ...], notes: list[str]) -> list[str]:
    """Return those peers that are wanted and can be started; add a note about the others."""
    found = [name for name in names if setting.wants(name) and PEERS[name].ready(setting)]
    if missing := [name for name in names if setting.wants(name) and name not in found]:
        notes.append(f"left out, for `python -m bench prepare` has not installed it: {', '.join(missing)}")
    return found


@contextmanager
def peer(setting: Setting, name: str, model: Path) -> Iterator[Server]:
    """Run a peer with a model loaded."""
    port, folder = free_port(), PEERS[name].folder(setting) / "bin"
    url = f"http://127.0.0.1:{port}"
    if name in (CONTINUOUS, SERVE):
        # It knows its model under the name that it was started with.
        served, command = str(model), [f"{folder}/transformers", "serve", str(model), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--device", setting.device]
        command += _continuous(setting) if name == CONTINUOUS else []
    else:
        served, command = "bench", [f"{folder}/infinity_emb", "v2", "--model-id", str(model), "--port", str(port)]
        command += ["--served-model-name", served, "--url-prefix", "/v1", "--host", "127.0.0.1"]
        command += ["--device", setting.device]
        command += ["--dtype", "bfloat16"] if name == INFINITY_BF16 else []
    with program(command, f"{url}/health", environment(setting)):
        yield Server(name, url, served)


def environment(setting: Setting) -> dict[str, str]:
    """Return the variables that every peer gets: as many threads as everybody, and no use of the network."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(setting.threads))
    return {**threads, "HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "PYTHONPATH": ""}


def _continuous(setting: Setting) -> list[str]:
    pages = ["--cb-num-blocks", str(CACHE_PAGES)] if setting.device == "cpu" else []
    return ["--continuous-batching", *pages]
