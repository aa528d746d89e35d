"""Models that look at pictures: full batches of photographs, and every slot of those that write busy."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.memory.case import Case, Work
from bench.memory.weights import random_model
from universal_core import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    ClassifyImageRequest,
    DetectRequest,
    EmbedImageRequest,
    EstimateDepthRequest,
    ImagePart,
    MatchLabelsRequest,
    SegmentRequest,
    TextPart,
)

SIZE = (1024, 768)
Settings = Mapping[str, Any]


def cases() -> list[Case]:
    """Return the cases of models that see."""
    return [*_encoders(), *_regions(), *_writers(), *_chats()]


def _encoders() -> list[Case]:
    from tiny.vision import make_clip, make_dinov2, make_siglip, make_vit

    names = {place: f"class {place}" for place in range(1000)}
    labels = {"id2label": names, "label2id": {name: place for place, name in names.items()}}
    side = {"size": _square(224)}
    crop = {"size": {"shortest_edge": 256}, "crop_size": _square(224)}
    wide = {**_BASE, "image_size": 224, "patch_size": 16}
    reads = {**_BASE, "vocab_size": 32000, "projection_size": 768}
    clip = {
        "vision_config": {**_BASE, "image_size": 224, "patch_size": 32},
        "text_config": {
            **_BASE,
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_attention_heads": 8,
            "vocab_size": 49408,
        },
        "projection_dim": 512,
    }
    dino = {**_BASE, "image_size": 518, "patch_size": 14, "mlp_ratio": 4}
    return [
        Case("ViT-base", _grown(make_vit, "ViTForImageClassification", {**wide, **labels}, side), _classify),
        Case("CLIP-base", _grown(make_clip, "CLIPModel", clip, {**crop, "size": {"shortest_edge": 224}}), _match),
        Case(
            "SigLIP-base",
            _grown(make_siglip, "SiglipModel", {"vision_config": wide, "text_config": reads}, side),
            _match,
        ),
        Case("DINOv2-base", _grown(make_dinov2, "Dinov2Model", dino, crop), _embed),
    ]


def _regions() -> list[Case]:
    from tiny.regions import make_depth_anything, make_detr, make_segformer

    detr = {
        "backbone_config": {
            "embedding_size": 64,
            "hidden_sizes": [256, 512, 1024, 2048],
            "depths": [3, 4, 6, 3],
            "layer_type": "bottleneck",
        },
        "d_model": 256,
        "encoder_layers": 6,
        "encoder_ffn_dim": 2048,
        "decoder_layers": 6,
        "decoder_ffn_dim": 2048,
        "num_queries": 100,
    }
    depth = {
        "backbone_config": {
            "hidden_size": 384,
            "num_attention_heads": 6,
            "num_hidden_layers": 12,
            "mlp_ratio": 4,
            "image_size": 518,
            "out_indices": [3, 6, 9, 12],
            "out_features": None,
        },
        "reassemble_hidden_size": 384,
        "neck_hidden_sizes": [48, 96, 192, 384],
        "fusion_hidden_size": 64,
        "head_hidden_size": 32,
    }
    kinds = {place: f"kind {place}" for place in range(150)}
    segformer = {
        "hidden_sizes": [32, 64, 160, 256],
        "depths": [2, 2, 2, 2],
        "num_attention_heads": [1, 2, 5, 8],
        "decoder_hidden_size": 256,
        "id2label": kinds,
        "label2id": {name: place for place, name in kinds.items()},
    }
    edges = {"size": {"shortest_edge": 800, "longest_edge": 1333}}
    return [
        Case("DETR-resnet-50", _grown(make_detr, "DetrForObjectDetection", detr, edges), _detect),
        Case(
            "Depth-Anything-small",
            _grown(make_depth_anything, "DepthAnythingForDepthEstimation", depth, {"size": _square(518)}),
            _measure,
        ),
        Case(
            "SegFormer-b0",
            _grown(make_segformer, "SegformerForSemanticSegmentation", segformer, {"size": _square(512)}),
            _segment,
        ),
    ]


def _writers() -> list[Case]:
    from tiny.captions import make_blip, make_florence2

    blip = {
        "vision_config": {**_BASE, "image_size": 384, "patch_size": 16},
        "text_config": {**_BASE, "vocab_size": 30524, "encoder_hidden_size": 768, "max_position_embeddings": 512},
    }
    florence = {
        "vision_config": {
            "embed_dim": [128, 256, 512, 1024],
            "num_heads": [4, 8, 16, 32],
            "num_groups": [4, 8, 16, 32],
            "depths": [1, 1, 9, 1],
            "window_size": 12,
            "projection_dim": 768,
            "max_temporal_embeddings": 100,
            "max_position_embeddings": 50,
        },
        "text_config": {
            "vocab_size": 51289,
            "d_model": 768,
            "encoder_layers": 6,
            "decoder_layers": 6,
            "encoder_attention_heads": 12,
            "decoder_attention_heads": 12,
            "encoder_ffn_dim": 3072,
            "decoder_ffn_dim": 3072,
            "max_position_embeddings": 1024,
        },
    }
    square = {"size": _square(768), "crop_size": _square(768), "image_seq_length": 577}
    return [
        Case(
            "BLIP-base",
            _grown(make_blip, "BlipForConditionalGeneration", blip, {"size": _square(384)}),
            _caption,
        ),
        Case(
            "Florence-2-base", _grown(make_florence2, "Florence2ForConditionalGeneration", florence, square), _caption
        ),
    ]


def _chats() -> list[Case]:
    from tiny.visual_chat import make_qwen25_vl, make_smolvlm

    smol = {
        "vision_config": {**_BASE, "image_size": 512, "patch_size": 16},
        "text_config": {
            "vocab_size": 49280,
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "head_dim": 64,
            "max_position_embeddings": 8192,
        },
        "scale_factor": 4,
    }
    tiles = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    rope = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0}
    qwen = {
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "text_config": {
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128000,
            "rope_parameters": rope,
            "tie_word_embeddings": True,
        },
        "tie_word_embeddings": True,
    }
    pixels = {"size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}}
    smolvlm = _grown(make_smolvlm, "SmolVLMForConditionalGeneration", smol, tiles, "bfloat16", image_seq_len=64)
    qwen25 = _grown(make_qwen25_vl, "Qwen2_5_VLForConditionalGeneration", qwen, pixels, "bfloat16")
    return [
        Case("SmolVLM-500M 4 slots", smolvlm, partial(_chat, 4), {"slots": 4, "n_ctx": 4096}),
        Case("Qwen2.5-VL-3B 2 slots", qwen25, partial(_chat, 2), {"slots": 2, "n_ctx": 4096}),
    ]


_BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


def _grown(
    make: Callable[[Path], Path],
    name: str,
    changes: Settings,
    images: Settings,
    dtype: str = "float32",
    **processor: Any,
) -> Callable[[Path], Path]:
    """Return what writes a tiny model's tokenizer and processor, and weights of a real size beside them."""

    def write(path: Path) -> Path:
        import transformers

        make(path)
        told = json.loads((path / "config.json").read_text("utf-8"))
        for file, more in (("preprocessor_config.json", images), ("processor_config.json", processor)):
            _change(path / file, more)
        model_class = getattr(transformers, name)
        config = model_class.config_class.from_dict(_merged(told, changes))
        return random_model(path, model_class, config, dtype=dtype)

    return write


def _change(file: Path, changes: Settings) -> None:
    if not file.exists():
        return
    told = json.loads(file.read_text("utf-8"))
    inner = told.get("image_processor")
    # A processor of pictures and words has the settings for pictures inside its own, since version 5.
    changed = {**told, "image_processor": {**inner, **changes}} if isinstance(inner, dict) else {**told, **changes}
    file.write_text(json.dumps(changed), "utf-8")


def _merged(told: Settings, changes: Settings) -> dict[str, Any]:
    found = dict(told)
    for name, value in changes.items():
        inside = found.get(name)
        merges = isinstance(value, dict) and isinstance(inside, dict) and name.endswith("_config")
        found[name] = _merged(inside, value) if merges else value
    return found


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _photos(count: int) -> tuple[bytes, ...]:
    from PIL import Image

    found = []
    for place in range(count):
        file = BytesIO()
        Image.effect_noise(SIZE, 30 + place).convert("RGB").save(file, "JPEG")
        found.append(file.getvalue())
    return tuple(found)


def _classify() -> list[Work]:
    return [Work("classify_image", [ClassifyImageRequest(images=_photos(8)) for _ in range(2)])]


def _match() -> list[Work]:
    labels = tuple(f"a photo of number {place}" for place in range(64))
    return [Work("match_labels", [MatchLabelsRequest(images=_photos(8), labels=labels) for _ in range(2)])]


def _embed() -> list[Work]:
    return [Work("embed_image", [EmbedImageRequest(input=_photos(8)) for _ in range(2)])]


def _detect() -> list[Work]:
    return [Work("detect", [DetectRequest(images=_photos(8))])]


def _measure() -> list[Work]:
    return [Work("estimate_depth", [EstimateDepthRequest(images=_photos(8))])]


def _segment() -> list[Work]:
    return [Work("segment", [SegmentRequest(images=_photos(8))])]


def _caption() -> list[Work]:
    return [Work("caption", [CaptionRequest(image=photo) for photo in _photos(16)])]


def _chat(slots: int) -> list[Work]:
    turns = [
        ChatMessage(role="user", content=(ImagePart(data=photo), TextPart(text="What is this?")))
        for photo in _photos(slots)
    ]
    return [Work("chat", [ChatRequest(messages=(turn,), max_tokens=32) for turn in turns])]
