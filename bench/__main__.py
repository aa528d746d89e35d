"""Measures the speed of everything, as ratios.

    python -m bench prepare                       # once: makes models, installs the servers to compare with
    python -m bench chat embeddings               # some measurements; all without a name
    python -m bench chat --quick                  # in small, to see that it runs
    python -m bench chat --json bench/results/cpu.json
    python -m bench draw                          # draws the tables of docs/explanation/speed.md anew

README.md beside this file says what each measurement is, and what ``--set`` can change.
"""

import argparse
import os
import sys
import time
import traceback
from pathlib import Path

# Read by libraries when they are imported.
os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")

import msgspec

from bench import drawing, preparing, results
from bench.comparison import Found
from bench.peers import ENVIRONMENTS
from bench.registry import MEASUREMENTS, measurement
from bench.report import table
from bench.results import Measured, Results
from bench.setting import FOLDER, Setting, cores

PREPARE, DRAW = "prepare", "draw"


def main(arguments: list[str] | None = None) -> None:
    """Do what was asked for."""
    given = _parser().parse_args(arguments)
    names, setting = given.names or list(MEASUREMENTS), _setting(given)
    if DRAW in names:
        drawing.draw()
    elif PREPARE in names:
        preparing.prepare(setting, [name for name in names if name != PREPARE])
    else:
        measured: dict[str, Measured] = {}
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            measured[name] = run(name, setting)
            if given.json and measured[name].found.comparisons:
                # After each: a run is long, and what is found is not lost with what comes after it.
                results.write(given.json, _results(setting, {name: measured[name]}))
        print(table({name: each.found for name, each in measured.items()}))
        if any(not each.found.comparisons for each in measured.values()):
            raise SystemExit(1)


def run(name: str, setting: Setting) -> Measured:
    """Do a measurement; one that fails, or whose libraries are not installed, finds nothing but that."""
    began = time.perf_counter()
    try:
        found = measurement(name)(setting)
    except (ImportError, RuntimeError) as error:
        traceback.print_exception(error)
        found = Found("failed", [], [f"{type(error).__name__}: {error}"])
    found = _without_goals(found) if setting.quick else found
    return Measured(results.conditions(setting), found, round(time.perf_counter() - began, 1))


def _without_goals(found: Found) -> Found:
    """What small models do in a moment says nothing about a goal."""
    replace = msgspec.structs.replace
    return replace(found, comparisons=[replace(each, goals=()) for each in found.comparisons])


def _results(setting: Setting, measured: dict[str, Measured]) -> Results:
    peers = {each.name: results.packages_of(each.python(setting)) for each in ENVIRONMENTS if each.ready(setting)}
    return Results(results.machine(setting.device), results.packages(), peers, measured)


def _setting(given: argparse.Namespace) -> Setting:
    rounds = given.rounds or (1 if given.quick else 3)
    peers = None if given.peers is None else tuple(given.peers)
    return Setting(given.folder, rounds, given.threads, given.device, given.quick, peers, dict(given.set))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", None, __doc__, formatter_class=_AsWritten)
    names = (*MEASUREMENTS, PREPARE, DRAW)
    parser.add_argument("names", nargs="*", metavar="NAME", type=_one_of(names), help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="how often each contender's turn comes (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small models, few tokens, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every sample")
    parser.add_argument("--threads", type=int, default=cores(), help="of every contender (the physical cores)")
    parser.add_argument("--device", default="cpu", help="where models run: cpu (the default), cuda, mps")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where models and servers are kept ({FOLDER})")
    parser.add_argument("--peers", nargs="*", metavar="PEER", help="compare with these alone")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", type=_change, help="other numbers: clients=1,8 tokens=48"
    )
    return parser


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    pass


def _one_of(names: tuple[str, ...]):
    def checked(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"there is no {name}; there are {', '.join(names)}")
        return name

    return checked


def _change(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name, value


if __name__ == "__main__":
    main()
