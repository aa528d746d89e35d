"""Pictures through the server against diffusers' own pipeline on the same model, as ratios.

    python bench/images.py [--rounds 5] [--steps 10] [--size 256] [--width 128] [--threads N]

The weights are random, in Stable Diffusion's shape with a UNet of some 30 million parameters, and in the number format
that the server chooses by itself; speed does not depend on values. The server's figures include HTTP, the worker's hop,
the PNG and its file. Goals: one request takes at most 1.02 times the pipeline's time, and four that are asked for at
once take less than four one after the other.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from server import running_server
from tiny.diffusion import make_stable_diffusion
from universal_core.pytorch import pick_dtype, use_threads

TOGETHER = 4
PROMPT = "a lighthouse at dusk, oil on canvas"


def make(folder: Path, size: int, width: int) -> Path:
    """Write a Stable Diffusion whose UNet begins with ``width`` channels."""
    shape = {
        "block_out_channels": (width, 2 * width, 2 * width),
        "norm_num_groups": 32,
        "layers_per_block": 2,
        "attention_head_dim": 8,
        "sample_size": size // 8,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    levels = 4
    vae = {
        "block_out_channels": (16, 32, 32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": 8,
        "sample_size": size,
    }
    return make_stable_diffusion(folder / "model", vae=vae, **shape)


def load(path: Path) -> Any:
    """Return the pipeline as diffusers alone has it, in the number format that the server chooses."""
    dtype = pick_dtype("auto", torch.device("cpu"), torch.bfloat16)
    pipeline = StableDiffusionPipeline.from_pretrained(path, local_files_only=True, dtype=dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def ask(client: httpx.Client, steps: int, number: int) -> None:
    """Have the server make a picture."""
    body = {"model": "bench", "prompt": f"{PROMPT} {number}", "num_inference_steps": steps, "seed": number}
    client.post("/v1/images/generations", json=body).raise_for_status()


def ask_together(client: httpx.Client, steps: int) -> None:
    """Have the server make some pictures for as many clients at once."""
    with ThreadPoolExecutor(TOGETHER) as threads:
        for job in [threads.submit(ask, client, steps, number) for number in range(TOGETHER)]:
            job.result()


def contenders(client: httpx.Client, pipeline: Any, steps: int, size: int) -> dict[str, Callable[[], None]]:
    """Return what is measured, by name."""

    def direct() -> None:
        pipeline(PROMPT, num_inference_steps=steps, width=size, height=size, generator=torch.Generator().manual_seed(0))

    def in_turn() -> None:
        for number in range(TOGETHER):
            ask(client, steps, number)

    return {
        "pipeline": direct,
        "server": lambda: ask(client, steps, 0),
        f"server, {TOGETHER} one after the other": in_turn,
        f"server, {TOGETHER} at once": lambda: ask_together(client, steps),
    }


def report(seconds: dict[str, list[float]], steps: int) -> None:
    """Print steps a second, and what the ratios of each round are in the median."""
    pipeline, served, in_turn, at_once = seconds.values()
    for name, times in seconds.items():
        pictures = TOGETHER if str(TOGETHER) in name else 1
        print(f"{name:32} {pictures * steps / statistics.median(times):7.2f} steps/s")
    print(f"a request takes {_ratio(served, pipeline):.3f} times the pipeline's time (goal: at most 1.02)")
    print(f"{TOGETHER} at once take {_ratio(at_once, in_turn):.3f} times what they take one after the other")


def _ratio(times: list[float], others: list[float]) -> float:
    return statistics.median(time / other for time, other in zip(times, others, strict=True))


def main() -> None:
    """Measure in turns, and print medians and ratios."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rounds", 5), ("steps", 10), ("size", 256), ("width", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=use_threads(None))
    arguments = parser.parse_args()
    threads = use_threads(arguments.threads)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), arguments.size, arguments.width)
        settings = Path(folder) / "universal.toml"
        size = f"{arguments.size}x{arguments.size}"
        options = f'{{default_size = "{size}", max_batch = {TOGETHER}, threads = {threads}}}'
        settings.write_text(f'[model.bench]\nmodel = "{path}"\noptions = {options}\n')
        flags = ("--config", str(settings), "--models-preload", "bench", "--images-outputs", f"{folder}/pictures")
        with (
            running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server,
            # One for all requests: making a client takes as long as some steps of a small model.
            httpx.Client(base_url=server.url, timeout=600) as client,
        ):
            server.wait_for("is ready")
            pipeline = load(path)
            parameters = sum(weight.numel() for weight in pipeline.unet.parameters())
            print(f"UNet of {parameters / 1e6:.0f} million parameters, threads: {threads}, {pipeline.dtype}")
            for turn in range(arguments.rounds + 1):
                for name, run in contenders(client, pipeline, arguments.steps, arguments.size).items():
                    began = time.perf_counter()
                    run()
                    if turn:  # the first round only warms up
                        seconds.setdefault(name, []).append(time.perf_counter() - began)
    report(seconds, arguments.steps)


if __name__ == "__main__":
    main()
