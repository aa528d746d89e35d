"""Make a VITS speech model of random weights, as MMS has one for each of a thousand languages."""

from pathlib import Path

import msgspec
import torch
from transformers import VitsConfig, VitsModel, VitsTokenizer

LETTERS = "_abcdefghijklmnopqrstuvwxyz' "


def make_vits(path: Path, *, speakers: int = 1, rate: int = 16000) -> Path:
    """Write a model and its tokenizer of letters, with some speakers, at ``rate`` samples per second."""
    path.mkdir(parents=True)
    (path / "vocab.json").write_bytes(msgspec.json.encode({letter: number for number, letter in enumerate(LETTERS)}))
    VitsTokenizer(str(path / "vocab.json"), phonemize=False, add_blank=True).save_pretrained(path)
    torch.manual_seed(0)
    config = VitsConfig(
        vocab_size=len(LETTERS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=32,
        spectrogram_bins=17,
        posterior_encoder_num_wavenet_layers=1,
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=32,
        upsample_initial_channel=32,
        upsample_rates=[8, 8],
        upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        depth_separable_num_layers=1,
        num_speakers=speakers,
        speaker_embedding_size=16 if speakers > 1 else 0,
        sampling_rate=rate,
    )
    VitsModel(config).save_pretrained(path)
    return path
