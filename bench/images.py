"""Pictures through the server beside diffusers' own pipeline, and several requests at once beside one by one.

The weights are random, in Stable Diffusion's shape with a UNet of some 30 million parameters, and in the number format
that the server chooses by itself; speed does not depend on values. The server's figures include HTTP, the worker's hop,
the PNG and its file. Goals: one request takes at most 1.02 times the pipeline's time, and four that are asked for at
once take less than four one after the other.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from bench.comparison import Comparison, Found, Goal
from bench.rounds import in_turns
from bench.setting import Setting
from server import running_server
from tiny.diffusion import make_stable_diffusion
from universal_core.pytorch import pick_dtype, use_threads

TOGETHER = 4
PROMPT = "a lighthouse at dusk, oil on canvas"


class Sizes(NamedTuple):
    """Steps and pixels of a picture, and the channels that the UNet begins with."""

    steps: int = 10
    size: int = 256
    width: int = 128


QUICK = Sizes(2, 64, 32)


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


def load(path: Path, device: str) -> Any:
    """Return the pipeline as diffusers alone has it, in the number format that the server chooses."""
    dtype = pick_dtype("auto", torch.device(device), torch.bfloat16)
    pipeline = StableDiffusionPipeline.from_pretrained(path, local_files_only=True, dtype=dtype).to(device)
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


def _timed(run: Callable[[], None]) -> Callable[[], float]:
    def measured() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return measured


def measure(setting: Setting) -> Found:
    """Compare the server with the pipeline, and requests at once with requests in turn."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    sizes = setting.sizes(Sizes(), QUICK)
    threads = use_threads(setting.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), sizes.size, sizes.width)
        settings = Path(folder) / "universal.toml"
        size = f"{sizes.size}x{sizes.size}"
        options = f'device = "{setting.device}", default_size = "{size}", max_batch = {TOGETHER}, threads = {threads}'
        settings.write_text(f'[model.bench]\nmodel = "{path}"\noptions = {{{options}}}\n')
        flags = ("--config", str(settings), "--models-preload", "bench", "--images-outputs", f"{folder}/pictures")
        with (
            running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server,
            # One for all requests: making a client takes as long as some steps of a small model.
            httpx.Client(base_url=server.url, timeout=600) as client,
        ):
            server.wait_for("is ready")
            run = contenders(client, load(path, setting.device), sizes.steps, sizes.size)
            seconds = in_turns({name: _timed(each) for name, each in run.items()}, setting.rounds)
    pipeline, served, in_turn, at_once = seconds
    one = {name: seconds[name] for name in (served, pipeline)}
    several = {name: seconds[name] for name in (at_once, in_turn)}
    return Found(
        f"Stable Diffusion's shape, {size}, {sizes.steps} steps",
        [
            Comparison("one picture", "time", "s", one, (Goal(pipeline, most=1.02),)),
            Comparison(f"{TOGETHER} pictures", "time", "s", several, (Goal(in_turn, most=1.0),)),
        ],
    )
