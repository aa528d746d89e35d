"""Make a SpeechT5 of random weights, with its tokenizer of letters and its vocoder."""

import io
from pathlib import Path

import torch
from sentencepiece import SentencePieceTrainer
from transformers import (
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    SpeechT5Tokenizer,
)

_LETTERS = ("hello there this is a test", "the quick brown fox jumps over the lazy dog")
_LOUD = 0.3
"""How far weights are from 0; with less of it nothing is heard."""


def make_speecht5(path: Path) -> Path:
    """Write the model, and its vocoder in the folder ``vocoder``."""
    path.mkdir(parents=True)
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_LETTERS * 20),
        model_writer=written,
        vocab_size=40,
        model_type="char",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (path / "spm_char.model").write_bytes(written.getvalue())
    tokenizer = SpeechT5Tokenizer(str(path / "spm_char.model"))
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = SpeechT5Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
        initializer_range=_LOUD,
    )
    SpeechT5ForTextToSpeech(config).save_pretrained(path)
    vocoder = SpeechT5HifiGanConfig(
        upsample_initial_channel=32,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        initializer_range=_LOUD,
    )
    SpeechT5HifiGan(vocoder).save_pretrained(path / "vocoder")
    return path
