"""Make a Kokoro model of random weights, in the layout of hexgrad/Kokoro-82M."""

import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from kokoro import KModel
from torch import Tensor

VOICES = ("af_heart", "am_adam", "bf_emma", "ef_dora", "jf_alpha")
PHONEMES = (
    ';:,.!?\u2014\u2026"()\u201c\u201d \u0303\u02a3\u02a5\u02a6\u02a8\u1d5d\uab67AIOQSTWY\u1d4a'
    "abcdefhijklmnopqrstuvwxyz"
    "\u0251\u0250\u0252\u00e6\u03b2\u0254\u0255\u00e7\u0256\u00f0\u02a4\u0259\u025a\u025b\u025c\u025f\u0261\u0265\u0268"
    "\u026a\u029d\u026f\u0270\u014b\u0273\u0272\u0274\u00f8\u0278\u03b8\u0153\u0279\u027e\u027b\u0281\u027d\u0282\u0283"
    "\u0288\u02a7\u028a\u028b\u028c\u0263\u0264\u03c7\u028e\u0292\u0294\u02c8\u02cc\u02d0\u02b0\u02b2\u2193\u2192\u2197"
    "\u2198\u1d7b"
)

_PARTS = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")
_LARGE = 20_000
_POOL = 0.03


def kokoro_config(*, layers: int = 1, width: int = 64, longest: int = 4) -> dict[str, Any]:
    """Return a configuration; the sizes 512 and 128 are fixed in the library, so only the text's encoder can be small.

    ``longest`` is the number of frames of 25 ms that a phoneme may last.
    """
    return {
        "istftnet": {
            "upsample_kernel_sizes": [20, 12],
            "upsample_rates": [10, 6],
            "gen_istft_hop_size": 5,
            "gen_istft_n_fft": 20,
            "resblock_dilation_sizes": [[1, 3, 5]] * layers,
            "resblock_kernel_sizes": [3, 7, 11][:layers],
            "upsample_initial_channel": 512,
        },
        "dim_in": 512,
        "hidden_dim": 512,
        "style_dim": 128,
        "dropout": 0.0,
        "max_dur": longest,
        "multispeaker": True,
        "n_layer": layers,
        "n_mels": 80,
        "n_token": 178,
        "text_encoder_kernel_size": 5,
        "plbert": {
            "hidden_size": width,
            "num_attention_heads": max(2, width // 64),
            "intermediate_size": 2048 if width > 64 else width,
            "max_position_embeddings": 512,
            "num_hidden_layers": 12 if width > 64 else 1,
            "dropout": 0.0,
        },
        "vocab": {phoneme: number + 1 for number, phoneme in enumerate(dict.fromkeys(PHONEMES))},
    }


def make_kokoro(path: Path, voices: Sequence[str] = VOICES, **sizes: int) -> Path:
    """Write config.json, kokoro-v1_0.pth and voices/*.pt; the large weights are views of few numbers, to be small."""
    (path / "voices").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(kokoro_config(**sizes), ensure_ascii=False), "utf-8")
    weights = path / "kokoro-v1_0.pth"
    torch.save({}, weights)  # With no weights in it the library keeps its random ones.
    torch.manual_seed(0)
    model = load_kokoro(path)
    parts = {part: getattr(model, part).state_dict() for part in _PARTS}
    torch.save({part: {name: _small(name, found[name]) for name in found} for part, found in parts.items()}, weights)
    for number, voice in enumerate(voices):
        style = torch.randn(510, 1, 256, generator=torch.Generator().manual_seed(number)) * 0.1
        torch.save(style, path / "voices" / f"{voice}.pt")
    return path


def load_kokoro(path: Path) -> KModel:
    """Return the model in a folder, loaded by the library alone; PyTorch warns of how that is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KModel("hexgrad/Kokoro-82M", str(path / "config.json"), str(path / "kokoro-v1_0.pth")).eval()


def _small(name: str, weight: Tensor) -> Tensor:
    """Return a weight of this shape that takes little on disk: its rows overlap."""
    if weight.numel() < _LARGE or not weight.is_floating_point():
        return weight.clone()
    strides = [1, 7, 1][: weight.dim()]
    needed = sum((size - 1) * stride for size, stride in zip(weight.shape, strides, strict=True)) + 1
    values = torch.randn(needed, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    return (values * _POOL).as_strided(weight.shape, strides)
