"""Tiny speech recognition models with random weights: Whisper in both formats, and wav2vec2."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

CODES = list(LANGUAGES)[:99]
_WORDS = (
    *("the", "hello", "world", "a", "test", "this", "is", "what", "we", "say", "when", "nobody", "has", "taught"),
    *("us", "how", "to", "speak", "and", "so", "on", "it", "goes"),
)
_CONTROLS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def whisper_tokenizer(*, multilingual: bool = True, text_tokens: int = 0) -> WhisperTokenizer:
    """Return a tokenizer in the order of the real vocabulary: text, an empty token, controls, timestamps.

    CTranslate2 tells from the empty token that a model knows several languages.
    """
    texts = [*sorted(ByteLevel.alphabet()), *(f"\u0120{word}" for word in _WORDS)]
    texts += [f"\u0120w{number}" for number in range(len(texts), text_tokens)]
    vocabulary = {text: number for number, text in enumerate(texts)}
    if multilingual:
        vocabulary[""] = len(vocabulary)
    vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    names = ["startoftranscript", *(CODES if multilingual else ()), *_CONTROLS]
    controls = [AddedToken(f"<|{name}|>", special=True, normalized=False) for name in names]
    tokenizer.add_tokens(controls, special_tokens=True)
    times = [f"<|{number * 0.02:.2f}|>" for number in range(1501)]
    tokenizer.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])
    return tokenizer


def make_whisper(path: Path, *, width: int = 32, layers: int = 2, heads: int = 2, text_tokens: int = 0) -> Path:
    """Make a Whisper in the format of transformers."""
    torch.manual_seed(0)
    tokenizer = whisper_tokenizer(text_tokens=text_tokens)
    number = tokenizer.convert_tokens_to_ids
    end, start = number("<|endoftext|>"), number("<|startoftranscript|>")
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            d_model=width,
            encoder_layers=max(layers // 2, 1) if width < 64 else layers,
            decoder_layers=layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=2 * width if width < 64 else 4 * width,
            decoder_ffn_dim=2 * width if width < 64 else 4 * width,
            num_mel_bins=80,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
            suppress_tokens=None,
            begin_suppress_tokens=None,
            tie_word_embeddings=False,
            init_std=0.2 if width < 64 else 0.02,
        )
    )
    generation = model.generation_config
    # Otherwise what is set below is not read again.
    generation._from_model_config = False
    values = {
        "is_multilingual": True,
        "lang_to_id": {f"<|{code}|>": number(f"<|{code}|>") for code in CODES},
        "task_to_id": {"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")},
        "no_timestamps_token_id": number("<|notimestamps|>"),
        "prev_sot_token_id": number("<|startofprev|>"),
        "alignment_heads": [[layers - 1, 0], [layers - 1, 1]],
        "max_initial_timestamp_index": 50,
        "return_timestamps": False,
        "max_length": 448 if width >= 64 else 48,
        "decoder_start_token_id": start,
        "suppress_tokens": [],
        "begin_suppress_tokens": [end],
    }
    for name, value in values.items():
        setattr(generation, name, value)
    # Single bytes and controls make no sense, so words are likelier, and about as likely as any of the timestamps.
    weight = model.proj_out.weight.data
    bytes_end, words_end = len(ByteLevel.alphabet()), len(ByteLevel.alphabet()) + len(_WORDS)
    weight[:bytes_end] *= 0.1
    weight[words_end : len(tokenizer) - 1501] *= 0.1
    weight[bytes_end:words_end] *= 5
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(path)
    return path


def convert_whisper(source: Path, path: Path, quantization: str = "float32") -> Path:
    """Convert a Whisper of transformers to CTranslate2's format."""
    from ctranslate2.converters import TransformersConverter

    converter = TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(path), quantization=quantization, force=True)
    return path


def make_wav2vec2(path: Path) -> Path:
    """Make a wav2vec2 with a CTC head, in the format of transformers."""
    torch.manual_seed(0)
    path.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    vocabulary = path / "vocab.json"
    vocabulary.write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary))
    config = Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
        initializer_range=0.5,
    )
    Wav2Vec2ForCTC(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    Wav2Vec2FeatureExtractor(sampling_rate=16000).save_pretrained(path)
    return path
