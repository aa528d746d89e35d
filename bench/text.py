"""Generation through the server against transformers' own generate() on the same model, as ratios.

    python bench/text.py [--rounds 3] [--tokens 48] [--prompt 128] [--layers 12] [--hidden 640]

The weights are random, in a real shape and in bfloat16 where the processor has it; speed does not depend on values. The
server's figures include HTTP, the worker's hop, tokenizing, sampling and detokenizing.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from server import Server, running_server
from tiny.causal import make_qwen3
from universal_core.pytorch import pick_dtype, use_threads

CLIENTS = (1, 8)
END = 2


def make(folder: Path, layers: int, hidden: int) -> Path:
    """Write a Qwen3 of this shape."""
    heads = hidden // 64
    shape = {
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": 64,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
    }
    return make_qwen3(folder / "model", **shape)


def direct(model: Any, prompt: list[int], tokens: int) -> float:
    """Return the tokens a second of generate(), one request at a time."""
    settings = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0)
    began = time.perf_counter()
    model.generate(torch.tensor([prompt]), generation_config=settings)
    return tokens / (time.perf_counter() - began)


def served(server: Server, body: dict[str, Any], clients: int) -> float:
    """Return the tokens a second that some clients at once get together."""
    with httpx.Client(base_url=server.url, timeout=600) as client, ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        jobs = [threads.submit(client.post, "/v1/completions", json=body) for _ in range(clients)]
        tokens = sum(job.result().json()["usage"]["completion_tokens"] for job in jobs)
        return float(tokens) / (time.perf_counter() - began)


def main() -> None:
    """Measure in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rounds", 3), ("tokens", 48), ("prompt", 128), ("layers", 12), ("hidden", 640)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    dtype = pick_dtype("auto", torch.device("cpu"), torch.bfloat16)
    prompt = [10 + place % 300 for place in range(arguments.prompt)]
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), arguments.layers, arguments.hidden)
        settings = Path(folder) / "universal.toml"
        settings.write_text(
            f'[model.bench]\nmodel = "{path}"\noptions = {{dtype = "{str(dtype).partition(".")[2]}"}}\n'
        )
        body = {"model": "bench", "prompt": prompt, "max_tokens": arguments.tokens, "temperature": 0}
        body["logit_bias"] = {END: -100}
        flags = ("--config", str(settings), "--models-preload", "bench")
        with running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server:
            server.wait_for("is ready")
            threads = use_threads(None)
            model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
            for turn in range(arguments.rounds + 1):
                measured = {"generate(), 1 at a time": direct(model, prompt, arguments.tokens)}
                measured |= {f"server, {count} clients": served(server, body, count) for count in CLIENTS}
                for name, rate in measured.items():
                    # The first turn warms up.
                    rates.setdefault(name, []).extend([rate] if turn else [])
    base = statistics.median(rates["generate(), 1 at a time"])
    print(f"{dtype}, {threads} threads, {arguments.prompt} tokens in, {arguments.tokens} out; prompts included")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:<26} {rate:7.1f} tokens/s   {rate / base:5.2f}")


if __name__ == "__main__":
    main()
