"""Tiny chat models that see, with random weights: the families whose prompts, positions or caches differ.

Each ``make_*`` writes a complete model folder and returns its path.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny.tokenizers import CHAT_TEMPLATE, END, PAD, TURN_END, byte_level_tokenizer

# Small random weights repeat one token for ever whatever they are shown; these make every position matter.
_SPREAD = 0.3
_CLIP = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_CONTEXT = 1024
_QWEN = {
    "Qwen2VL": ("qwen2_vl_text", "Qwen2VLProcessor"),
    "Qwen2_5_VL": ("qwen2_5_vl_text", "Qwen2_5_VLProcessor"),
    "Qwen3VL": ("qwen3_vl_text", "Qwen3VLProcessor"),
    "Qwen3_5": ("qwen3_5_text", "Qwen3VLProcessor"),
}


def chat_template(place: str) -> str:
    """Return a chat template that writes ``place`` where a picture is."""
    text = "{{ part.text }}{% endif %}"
    return CHAT_TEMPLATE.replace(text, "{{ part.text }}{% elif part.type == 'image' %}" + place + "{% endif %}")


def make_llava(
    path: Path,
    *,
    template: str | None = chat_template("<image>"),
    pieces: Sequence[str] = (),
    begins: bool = False,
    **changes: Any,
) -> Path:
    """Write a LLaVA: the patches of a CLIP stand in the place of tokens of a Llama.

    ``pieces`` are further special tokens; where it ``begins``, the tokenizer puts a token before every text.
    """
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    special = {"image_token": "<image>", **{f"piece_{at}": piece for at, piece in enumerate(pieces)}}
    tokenizer = _tokenizer(special, begins=begins)
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **_CLIP, "image_size": 32, "patch_size": 8},
        text_config=_text(tokenizer, "llama", **changes),
        image_token_index=tokenizer.image_token_id,
        vision_feature_layer=-1,
        image_seq_length=16,
        **_untied(),
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return _save(path, LlavaForConditionalGeneration, config, processor)


def make_llava_next(path: Path) -> Path:
    """Write a LLaVA-NeXT, which looks at a picture as a whole and at its parts: the more, the larger it is."""
    from transformers import (
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
        LlavaNextProcessor,
    )

    tokenizer = _tokenizer({"image_token": "<image>"})
    pinpoints = [[32, 64], [64, 32], [64, 64]]
    config = LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model", **_CLIP, "image_size": 32, "patch_size": 8},
        text_config=_text(tokenizer, "llama"),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        **_untied(),
    )
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template("<image>"),
    )
    return _save(path, LlavaNextForConditionalGeneration, config, processor)


def make_llava_onevision(path: Path) -> Path:
    """Write a LLaVA-OneVision, which looks closer at one picture than at several."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessorPil,
    )

    tokenizer = _tokenizer({"image_token": "<image>", "video_token": "<video>"}, template=chat_template("<image>"))
    pinpoints = [[32, 64], [64, 32], [64, 64]]
    vision = {"model_type": "siglip_vision_model", **_CLIP, "image_size": 32, "patch_size": 8, "vision_use_head": False}
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=_text(tokenizer, "qwen2"),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        **_untied(),
    )
    images = LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints)
    _save(path, LlavaOnevisionForConditionalGeneration, config, tokenizer, images)
    return _name_processor(path, "LlavaOnevisionProcessor", num_image_tokens=16, vision_feature_select_strategy="full")


def make_qwen2_vl(path: Path) -> Path:
    """Write a Qwen2-VL: pictures of any size, and positions in three directions."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2}
    return _make_qwen(path, "Qwen2VL", Qwen2VLConfig, Qwen2VLForConditionalGeneration, vision)


def make_qwen25_vl(path: Path) -> Path:
    """Write a Qwen2.5-VL, whose vision looks through windows."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    return _make_qwen(path, "Qwen2_5_VL", Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, vision)


def make_qwen3_vl(path: Path) -> Path:
    """Write a Qwen3-VL, whose vision adds to several layers of the language model."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    return _make_qwen(path, "Qwen3VL", Qwen3VLConfig, Qwen3VLForConditionalGeneration, vision, head_dim=16)


def make_qwen3_5(path: Path) -> Path:
    """Write a Qwen3.5: a recurrent state in every layer but some, beside positions in three directions."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 16,
    }
    text = {
        "head_dim": 16,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }
    return _make_qwen(path, "Qwen3_5", Qwen3_5Config, Qwen3_5ForConditionalGeneration, vision, **text)


def make_smolvlm(path: Path) -> Path:
    """Write a SmolVLM, which cuts a picture into rows and columns and writes where each part is."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    return _make_idefics(path, "SmolVLM", SmolVLMConfig, SmolVLMForConditionalGeneration)


def make_idefics3(path: Path) -> Path:
    """Write an Idefics3, from which SmolVLM comes."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    return _make_idefics(path, "Idefics3", Idefics3Config, Idefics3ForConditionalGeneration)


def make_internvl(path: Path) -> Path:
    """Write an InternVL in the form of transformers."""
    from transformers import GotOcr2ImageProcessorPil, InternVLConfig, InternVLForConditionalGeneration

    tokenizer = _tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        template=chat_template("<IMG_CONTEXT>\n"),
    )
    config = InternVLConfig(
        vision_config={**_CLIP, "image_size": 32, "patch_size": 8, "initializer_range": _SPREAD},
        text_config=_text(tokenizer, "qwen2"),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        **_untied(),
    )
    images = GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=4)
    _save(path, InternVLForConditionalGeneration, config, tokenizer, images)
    return _name_processor(path, "InternVLProcessor", image_seq_length=4)


def make_gemma3(path: Path) -> Path:
    """Write a Gemma 3: the tokens of a picture look at one another in both directions, through a short window."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil, Gemma3Processor

    tokenizer = _tokenizer(
        {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    )
    config = Gemma3Config(
        vision_config={"model_type": "siglip_vision_model", **_CLIP, "image_size": 32, "patch_size": 8},
        text_config=_text(
            tokenizer,
            "gemma3_text",
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        initializer_range=_SPREAD,
        **_untied(),
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template="{{ bos_token }}" + chat_template("<start_of_image>"),
    )
    return _save(path, Gemma3ForConditionalGeneration, config, processor)


def make_paligemma(path: Path) -> Path:
    """Write a PaliGemma: no chat template, positions from 1, and a prompt whose tokens look in both directions."""
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessorPil,
    )

    tokenizer = _tokenizer({"image_token": "<image>"})
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer)
    config = PaliGemmaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            **_CLIP,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 64,
        },
        text_config=_text(tokenizer, "gemma", head_dim=16),
        image_token_index=tokenizer.image_token_id,
        projection_dim=64,
        hidden_size=64,
        vocab_size=len(tokenizer),
        **_untied(),
    )
    return _save(path, PaliGemmaForConditionalGeneration, config, processor)


def make_mllama(path: Path) -> Path:
    """Write an Mllama: layers of their own look at pictures, and no token stands for what is seen."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaImageProcessorPil, MllamaProcessor

    tokenizer = _tokenizer({"image_token": "<|image|>"})
    text = _text(tokenizer, "mllama_text_model", num_hidden_layers=3, cross_attention_layers=[1])
    # As in the real ones: the token for a picture can be read, and never be written.
    text["vocab_size"] = tokenizer.image_token_id
    config = MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
            "initializer_range": _SPREAD,
        },
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        **_untied(),
    )
    processor = MllamaProcessor(
        image_processor=MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=2),
        tokenizer=tokenizer,
        chat_template="{{ bos_token }}" + chat_template("<|image|>"),
    )
    return _save(path, MllamaForConditionalGeneration, config, processor)


def _make_qwen(path: Path, name: str, config_class: Any, model_class: Any, vision: Any, **text: Any) -> Path:
    from transformers import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer(
        {
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
        },
        template=chat_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    patches = {"patch_size": 14, "temporal_patch_size": 2}
    kind, processor = _QWEN[name]
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = config_class(
        text_config=_text(tokenizer, kind, rope_parameters=rope, **text),
        vision_config={**vision, **patches, "spatial_merge_size": 2, "initializer_range": _SPREAD},
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        vision_start_token_id=tokenizer.vision_start_token_id,
        vision_end_token_id=tokenizer.vision_end_token_id,
        **_untied(),
    )
    images = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 16, merge_size=2, **patches)
    _save(path, model_class, config, tokenizer, images)
    return _name_processor(path, processor)


def _make_idefics(path: Path, name: str, config_class: Any, model_class: Any) -> Path:
    import transformers

    tokenizer = _tokenizer(
        {
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
        template=chat_template("<image>"),
    )
    config = config_class(
        vision_config={**_CLIP, "image_size": 32, "patch_size": 8, "initializer_range": _SPREAD},
        text_config=_text(tokenizer, "llama"),
        scale_factor=2,
        image_token_id=tokenizer.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **_untied(),
    )
    images = getattr(transformers, f"{name}ImageProcessorPil")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True
    )
    _save(path, model_class, config, tokenizer, images)
    return _name_processor(path, f"{name}Processor", image_seq_len=4)


def _tokenizer(special: dict[str, str], *, template: str | None = None, begins: bool = False) -> Any:
    """Return a tokenizer with further special tokens by name."""
    from transformers import PreTrainedTokenizerFast

    plain = byte_level_tokenizer(chat_template=None, context=_CONTEXT, begins=begins)
    return PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer,
        bos_token=END,
        eos_token=TURN_END,
        pad_token=PAD,
        model_max_length=_CONTEXT,
        extra_special_tokens=special,
        chat_template=template,
    )


def _text(tokenizer: Any, kind: str, **changes: Any) -> dict[str, Any]:
    """Return the configuration of the language model inside."""
    return {
        "model_type": kind,
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": _CONTEXT,
        "initializer_range": _SPREAD,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **_untied(),
        **changes,
    }


def _untied() -> dict[str, bool]:
    return {"tie_word_embeddings": False}


def _save(path: Path, model_class: Any, config: Any, *parts: Any) -> Path:
    """Write a model with random weights, and its processor, whole or in parts."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        for name, parameter in model.named_parameters():
            # Gates and projections that training opens: shut, they let nothing through of what is seen.
            if not parameter.any() and not name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=_SPREAD)
    text = config.get_text_config()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = text.eos_token_id, text.pad_token_id
    model.save_pretrained(path)
    for part in parts:
        part.save_pretrained(path)
    return path


def _name_processor(path: Path, name: str, **settings: Any) -> Path:
    """Say which processor the parts in a folder belong to: it cannot be made here where it has a part for videos."""
    file = path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"processor_class": name}))
    (path / "processor_config.json").write_text(json.dumps({"processor_class": name, **settings}))
    return path
