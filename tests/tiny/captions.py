"""Tiny models that write about a picture, with random weights: each ``make_*`` writes a folder and returns its path."""

import string
from pathlib import Path
from typing import Any

from tiny.tokenizers import byte_level_tokenizer

SIZE, PATCH = 32, 8

# Small random weights say the same of every picture; these make it matter.
_SPREAD = 0.4

# What the pictures' numbers are multiplied by: random weights look at brightness alone otherwise.
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIZE,
    "patch_size": PATCH,
    "initializer_range": _SPREAD,
}
_WORDS = ("a", "the", "picture", "photo", "of", "cat", "dog", "red", "what", "color", "is", "this", "how", "many", "it")

# Florence-2's own settings for reading its answers.
_FLORENCE_PARSING: dict[str, Any] = {
    "ocr": {
        "PATTERN": r"(.+?)" + "".join(r"<loc_(\d+)>" for _ in range(8)),
        "AREA_THRESHOLD": 0.0,
    },
    "phrase_grounding": {"banned_grounding_tokens": ["it", "the image"]},
    "pure_text": {},
    "description_with_bboxes": {},
    "description_with_polygons": {},
    "polygons": {},
    "bboxes": {},
    "description_with_bboxes_or_polygons": {},
}
_FLORENCE_MARKS = ("od", "ocr", "cap", "ncap", "dcap", "grounding", "seg", "region_cap", "proposal", "poly")


def make_blip(path: Path) -> Path:
    """Write a BLIP that describes pictures."""
    from transformers import BlipForConditionalGeneration

    return _make_blip(path, BlipForConditionalGeneration)


def make_blip_vqa(path: Path) -> Path:
    """Write a BLIP that answers questions."""
    from transformers import BlipForQuestionAnswering

    return _make_blip(path, BlipForQuestionAnswering)


def make_blip2(path: Path) -> Path:
    """Write a BLIP-2 that writes with an OPT."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor

    tokenizer = _opt_tokenizer()
    config = Blip2Config(**_querying(tokenizer), qformer_config=_QUERIES)
    processor = Blip2Processor(image_processor=_blip_images(), tokenizer=tokenizer, num_query_tokens=4)
    return _save(path, Blip2ForConditionalGeneration, config, processor)


def make_blip2_t5(path: Path) -> Path:
    """Write a BLIP-2 that writes with a T5, which has an encoder of its own."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor

    tokenizer = _opt_tokenizer()
    writing = _t5_config(tokenizer)
    config = Blip2Config(**{**_querying(tokenizer), "text_config": writing}, qformer_config=_QUERIES)
    processor = Blip2Processor(image_processor=_blip_images(), tokenizer=tokenizer, num_query_tokens=4)
    return _save(path, Blip2ForConditionalGeneration, config, processor)


def make_instructblip(path: Path) -> Path:
    """Write an InstructBLIP, whose queries read the question too."""
    from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor

    tokenizer, words = _opt_tokenizer(), _bert_tokenizer()
    queries = {**_QUERIES, "vocab_size": len(words), "max_position_embeddings": 64, "pad_token_id": words.pad_token_id}
    config = InstructBlipConfig(**_querying(tokenizer), qformer_config=queries)
    processor = InstructBlipProcessor(
        image_processor=_blip_images(), tokenizer=tokenizer, qformer_tokenizer=words, num_query_tokens=4
    )
    return _save(path, InstructBlipForConditionalGeneration, config, processor)


def make_git(path: Path) -> Path:
    """Write a GIT."""
    from transformers import CLIPImageProcessorPil, GitConfig, GitForCausalLM, GitProcessor

    tokenizer = _bert_tokenizer()
    config = GitConfig(
        vision_config=_VISION,
        **_decoder(len(tokenizer)),
        max_position_embeddings=128,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=_SPREAD,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=_square(SIZE))
    return _save(path, GitForCausalLM, config, GitProcessor(image_processor=images, tokenizer=tokenizer))


def make_pix2struct(path: Path, *, is_vqa: bool = False) -> Path:
    """Write a Pix2Struct; with ``is_vqa`` one that reads its question off the picture."""
    from transformers import (
        Pix2StructConfig,
        Pix2StructForConditionalGeneration,
        Pix2StructImageProcessorPil,
        Pix2StructProcessor,
    )

    tokenizer = byte_level_tokenizer(chat_template=None)
    config = Pix2StructConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "d_kv": 16,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 2,
            "decoder_start_token_id": tokenizer.pad_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "patch_embed_hidden_size": 3 * PATCH * PATCH,
            "d_ff": 64,
            "d_kv": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "seq_len": 2048,
        },
        initializer_range=_SPREAD,
        initializer_factor=4.0,
        is_vqa=is_vqa,
    )
    images = Pix2StructImageProcessorPil(patch_size=_square(PATCH), max_patches=24, is_vqa=is_vqa)
    processor = Pix2StructProcessor(image_processor=images, tokenizer=tokenizer)
    return _save(path, Pix2StructForConditionalGeneration, config, processor)


def make_pix2struct_vqa(path: Path) -> Path:
    """Write a Pix2Struct that answers questions."""
    return make_pix2struct(path, is_vqa=True)


def make_vilt(path: Path) -> Path:
    """Write a ViLT, which picks its answer out of a list."""
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessorPil, ViltProcessor

    tokenizer = _bert_tokenizer()
    config = ViltConfig(
        **_VISION,
        vocab_size=len(tokenizer),
        max_position_embeddings=40,
        id2label=dict(enumerate(("yes", "no", "red", "2"))),
    )
    images = ViltImageProcessorPil(size={"shortest_edge": SIZE}, size_divisor=PATCH)
    return _save(path, ViltForQuestionAnswering, config, ViltProcessor(image_processor=images, tokenizer=tokenizer))


def make_vision_encoder_decoder(path: Path) -> Path:
    """Write a ViT whose picture a GPT-2 describes."""
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessorPil,
    )

    tokenizer = byte_level_tokenizer(chat_template=None)
    writer = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=128,
        initializer_range=_SPREAD,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        add_cross_attention=True,
        is_decoder=True,
    )
    config = VisionEncoderDecoderConfig(
        encoder=ViTConfig(**_VISION).to_dict(),
        decoder=writer.to_dict(),
        decoder_start_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    ViTImageProcessorPil(size=_square(SIZE)).save_pretrained(path)
    return _save(path, VisionEncoderDecoderModel, config, tokenizer)


def make_donut(path: Path) -> Path:
    """Write a Donut, whose tokenizer has marks for the fields of a document."""
    from transformers import (
        DonutImageProcessorPil,
        DonutProcessor,
        DonutSwinConfig,
        MBartConfig,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
    )

    tokenizer = byte_level_tokenizer(chat_template=None)
    marks = [form.format(name) for name in ("receipt", "total", "name") for form in ("<s_{}>", "</s_{}>")]
    tokenizer.add_special_tokens({"additional_special_tokens": [*marks, "<sep/>"]})
    eyes = DonutSwinConfig(
        image_size=SIZE, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4, hidden_size=32
    )
    writer = MBartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        init_std=_SPREAD,
        is_decoder=True,
        is_encoder_decoder=False,
        add_cross_attention=True,
    )
    config = VisionEncoderDecoderConfig(
        encoder=eyes.to_dict(),
        decoder=writer.to_dict(),
        decoder_start_token_id=tokenizer.convert_tokens_to_ids("<s_receipt>"),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    images = DonutImageProcessorPil(size=_square(SIZE), do_align_long_axis=False)
    return _save(path, VisionEncoderDecoderModel, config, DonutProcessor(images, tokenizer))


def make_florence2(path: Path) -> Path:
    """Write a Florence-2 in the layout of transformers' own class."""
    from transformers import (
        CLIPImageProcessorPil,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    tokenizer = _florence_tokenizer()
    config = Florence2Config(
        vision_config={
            "embed_dim": [8, 16, 16, 32],
            "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2],
            "depths": [1, 1, 1, 1],
            "window_size": 2,
            "projection_dim": 32,
            "drop_path_rate": 0.0,
            "max_temporal_embeddings": 10,
            "max_position_embeddings": 10,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 128,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": 2,
            "init_std": _SPREAD,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    side = 2 * SIZE
    # A patch for each square of 32 pixels, and the mean of all.
    images = CLIPImageProcessorPil(
        size=_square(side), crop_size=_square(side), do_center_crop=False, image_seq_length=(side // 32) ** 2 + 1
    )
    processor = Florence2Processor(image_processor=images, tokenizer=tokenizer, post_processor_config=_FLORENCE_PARSING)
    return _save(path, Florence2ForConditionalGeneration, config, processor)


_QUERIES = {
    "hidden_size": 32,
    "encoder_hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "cross_attention_frequency": 1,
    "initializer_range": _SPREAD,
}


def _make_blip(path: Path, model_class: Any) -> Path:
    from transformers import BlipConfig, BlipProcessor

    tokenizer = _bert_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    config = BlipConfig(
        text_config={
            **_decoder(len(tokenizer)),
            "encoder_hidden_size": 32,
            "projection_dim": 32,
            "max_position_embeddings": 64,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "initializer_range": _SPREAD,
        },
        vision_config=_VISION,
        projection_dim=32,
        image_text_hidden_size=16,
    )
    return _save(path, model_class, config, BlipProcessor(image_processor=_blip_images(), tokenizer=tokenizer))


def _querying(tokenizer: Any) -> dict[str, Any]:
    writing = {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "init_std": _SPREAD,
    }
    return {
        "vision_config": _VISION,
        "text_config": writing,
        "num_query_tokens": 4,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "initializer_range": _SPREAD,
    }


def _t5_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "model_type": "t5",
        "vocab_size": len(tokenizer),
        "d_model": 32,
        "d_kv": 16,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 2,
        "decoder_start_token_id": tokenizer.pad_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_factor": 4.0,
    }


def _decoder(vocabulary: int) -> dict[str, int]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }


def _opt_tokenizer() -> Any:
    tokenizer = byte_level_tokenizer(chat_template=None)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.image_token = "<image>"
    return tokenizer


def _bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    letters = string.ascii_lowercase + string.digits
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *string.punctuation, *_WORDS]
    words += ["##" + letter for letter in letters]
    return BertTokenizer(vocab={word: place for place, word in enumerate(dict.fromkeys(words))}, do_lower_case=True)


def _florence_tokenizer() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import BartTokenizer

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    tokenizer = BartTokenizer(
        vocab={token: place for place, token in enumerate(tokens)},
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=128,
    )
    marks = [form.format(mark) for mark in _FLORENCE_MARKS for form in ("<{}>", "</{}>")]
    tokenizer.add_tokens([*marks, "<sep>", "<and>", *(f"<loc_{place}>" for place in range(1000))])
    return tokenizer


def _blip_images() -> Any:
    from transformers import BlipImageProcessorPil

    return BlipImageProcessorPil(size=_square(SIZE))


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _save(path: Path, model_class: Any, config: Any, processor: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path
