"""GGUF models: universal-gguf against llama-server, llama-cpp-python's own server, and the barest loop, as ratios.

    python bench/llama prepare                    # once: builds llama-server, gets the other server, makes the models
    python bench/llama                            # every measurement
    python bench/llama chats --files Q4_K_M       # one of them
    python bench/llama --quick                    # everything in small, to see that it runs

A peer that `prepare` has not made ready is left out. README.md beside this file says what each measurement is.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import chats
import engine
import llama_server
import lookup
import models
import processes
import sampling
import streams
import vectors
from servers import PEERS, install_packages
from setting import Setting, cores

MEASUREMENTS: dict[str, Callable[[Setting], None]] = {
    "chats": chats.measure,
    "stall": streams.stall,
    "turns": streams.turns,
    "sampling": sampling.measure,
    "engine": engine.measure,
    "embeddings": vectors.measure,
    "start": processes.start,
    "pair": processes.pair,
    "lookup": lookup.measure,
}
PREPARE = "prepare"

QUICK = {
    "shape": "100m",
    "files": ["Q4_K_M"],
    "clients": [1, 4],
    "rounds": 1,
    "requests": 1,
    "prompt": 48,
    "tokens": 16,
    "long_prompt": 500,
    "turn_prompt": 300,
    "documents": 64,
    "slots": 4,
    "context": 8192,
}


def main() -> None:
    """Run the measurements that were asked for."""
    arguments = _arguments()
    names = arguments.pop("measurements") or list(MEASUREMENTS)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()
    }
    setting = Setting(**values)
    if PREPARE in names:
        prepare(setting)
        return
    print(f"{setting.threads} threads, {setting.slots} slots, context {setting.context}, {setting.rounds} rounds")
    for name in names:
        MEASUREMENTS[name](setting)


def prepare(setting: Setting) -> None:
    """Make everything that the measurements need and that takes long."""
    for kind in setting.files:
        for repeats in (False, True):
            models.text_model(setting.folder, setting.shape, kind, setting.threads, repeats=repeats)
    models.embedding_model(setting.folder)
    models.forget_sources(setting.folder)
    install_packages(setting.folder)
    found = llama_server.find(setting.llama_server, setting.folder) or llama_server.build(setting.folder, cores())
    print(f"llama-server: {found}")


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*MEASUREMENTS, PREPARE)
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help=f"{', '.join(names)}; all if none")
    parser.add_argument("--quick", action="store_true", help="a small model and few tokens")
    cache = Path("~/.cache/universal-bench").expanduser()
    parser.add_argument("--folder", type=Path, default=cache, help=f"where models and peers are kept ({cache})")
    parser.add_argument("--llama-server", help="the program; else $LLAMA_SERVER, the one built, or the one on PATH")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--files", nargs="+", metavar="TYPE", default=["Q4_K_M", "Q8_0"])
    parser.add_argument("--shape", choices=models.SHAPES, default="qwen3-0.6b")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 16])
    parser.add_argument("--threads", type=int, default=cores(), help="of every server (the physical cores)")
    numbers = {"rounds": 3, "requests": 2, "prompt": 128, "tokens": 48, "long-prompt": 4000, "turn-prompt": 2000}
    for name, value in {**numbers, "documents": 512, "slots": 16, "context": 8192}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    arguments = vars(parser.parse_args())
    unknown = [name for name in arguments["measurements"] if name not in names]
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(names)}")
    del arguments["quick"]
    return arguments


if __name__ == "__main__":
    main()
