"""Tiny models that look at pictures: random weights with real configurations, large enough that pictures differ.

Each ``make_*`` writes a complete model folder and returns its path.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

from tiny.diffusion import clip_tokenizer
from tiny.tokenizers import CORPUS, byte_level_tokenizer

LABELS = {0: "cat", 1: "dog", 2: "car", 3: "tree", 4: "red"}

_SIDE = 32
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_SEES = {"image_size": _SIDE, "patch_size": 8, "initializer_range": 0.3}
_READS = {"initializer_range": 0.3}
_SQUARE = {"height": _SIDE, "width": _SIDE}


def photo(color: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (48, 40), **saved: Any) -> bytes:
    """Return the file of a picture of a yellow disk on a color; ``saved`` are Pillow's, with PNG as the format."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, color)
    ImageDraw.Draw(image).ellipse((8, 8, 30, 30), fill=(255, 255, 0))
    file = BytesIO()
    image.save(file, **{"format": "PNG", **saved})
    return file.getvalue()


def make_vit(path: Path, **changes: Any) -> Path:
    """Write a vision transformer that classifies."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(**_SMALL | _SEES | _labels() | changes)
    return _save(path, ViTForImageClassification, config, _vit_processor(config.image_size))


def make_vit_headless(path: Path, **changes: Any) -> Path:
    """Write a vision transformer without a head, whose pooler has weights of its own."""
    from transformers import ViTConfig, ViTModel

    return _save(path, ViTModel, ViTConfig(**_SMALL | _SEES | changes), _vit_processor())


def make_vit_without_pooler(path: Path) -> Path:
    """Write a vision transformer whose files lack its pooler, as those of DINO do."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**_SMALL | _SEES)
    return _save(path, lambda config: ViTModel(config, add_pooling_layer=False), config, _vit_processor())


def make_deit(path: Path) -> Path:
    """Write a DeiT with the heads of a student and of its teacher."""
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    config = DeiTConfig(**_SMALL | _SEES | _labels())
    return _save(path, DeiTForImageClassificationWithTeacher, config, _vit_processor())


def make_resnet(path: Path) -> Path:
    """Write a ResNet that classifies."""
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    return _save(path, ResNetForImageClassification, ResNetConfig(**sizes, **_labels()), _convnext_processor())


def make_convnext(path: Path) -> Path:
    """Write a ConvNeXt that classifies."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], initializer_range=0.3, **_labels())
    return _save(path, ConvNextForImageClassification, config, _convnext_processor())


def make_swin(path: Path) -> Path:
    """Write a Swin transformer that classifies."""
    from transformers import SwinConfig, SwinForImageClassification

    sizes = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "patch_size": 4}
    config = SwinConfig(image_size=_SIDE, initializer_range=0.3, **sizes, **_labels())
    return _save(path, SwinForImageClassification, config, _vit_processor())


def make_beit(path: Path) -> Path:
    """Write a BEiT that classifies, by the mean of its patches."""
    from transformers import BeitConfig, BeitForImageClassification, BeitImageProcessorPil

    processor = BeitImageProcessorPil(size=_SQUARE, crop_size=_SQUARE, do_center_crop=True, do_resize=True)
    return _save(path, BeitForImageClassification, BeitConfig(**_SMALL | _SEES | _labels()), processor)


def make_segformer(path: Path) -> Path:
    """Write a SegFormer that classifies; its encoder answers with maps."""
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerImageProcessorPil

    sizes = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 2]}
    config = SegformerConfig(initializer_range=0.3, **sizes, **_labels())
    return _save(path, SegformerForImageClassification, config, SegformerImageProcessorPil(size=_SQUARE))


def make_dinov2(path: Path) -> Path:
    """Write a DINOv2."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    config = Dinov2Config(**_small_dino(), image_size=_SIDE, patch_size=8)
    processor = BitImageProcessorPil(size={"shortest_edge": _SIDE}, crop_size=_SQUARE, do_center_crop=True)
    return _save(path, Dinov2Model, config, processor)


def make_dinov2_with_registers(path: Path) -> Path:
    """Write a DINOv2 with four registers between its class token and the patches."""
    from transformers import BitImageProcessorPil, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(**_small_dino(), image_size=_SIDE, patch_size=8, num_register_tokens=4)
    processor = BitImageProcessorPil(size={"shortest_edge": _SIDE}, crop_size=_SQUARE, do_center_crop=True)
    return _save(path, Dinov2WithRegistersModel, config, processor)


def make_dinov3(path: Path) -> Path:
    """Write a DINOv3."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(**_SMALL | _SEES, num_register_tokens=4)
    return _save(path, DINOv3ViTModel, config, _vit_processor())


def make_clip(path: Path, **changes: Any) -> Path:
    """Write a CLIP; ``changes`` are to the configuration of its half for pictures."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    reads = {"vocab_size": len(tokenizer), "max_position_embeddings": 77, "pad_token_id": tokenizer.pad_token_id}
    vision = {**_SMALL, **_SEES, **changes}
    config = CLIPConfig(text_config={**_SMALL, **_READS, **reads, **ends}, vision_config=vision, projection_dim=16)
    side = vision["image_size"]
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return _save(path, CLIPModel, config, processor, tokenizer)


def make_siglip(path: Path) -> Path:
    """Write a SigLIP; its tokenizer makes lower case of its texts."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokenizer = _siglip_tokenizer(path)
    config = SiglipConfig(text_config=_siglip_text(tokenizer), vision_config={**_SMALL, **_SEES})
    return _save(path, SiglipModel, config, SiglipImageProcessorPil(size=_SQUARE), tokenizer)


def make_siglip2(path: Path) -> Path:
    """Write a SigLIP 2 that keeps the shape of pictures: at most 16 patches of 8 pixels a side."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    tokenizer = _siglip2_tokenizer()
    vision = {**_SMALL, "num_patches": 16, "patch_size": 8}
    config = Siglip2Config(text_config=_siglip_text(tokenizer), vision_config=vision)
    processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return _save(path, Siglip2Model, config, processor, tokenizer)


def make_align(path: Path) -> Path:
    """Write an ALIGN: an EfficientNet and a BERT."""
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil

    tokenizer = byte_level_tokenizer(context=64)
    vision = {
        "image_size": _SIDE,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "kernel_sizes": [3, 3],
        "in_channels": [32, 16],
        "out_channels": [16, 32],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 6],
        "hidden_dim": 32,
        "initializer_range": 0.3,
    }
    text = {**_SMALL, **_READS, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config = AlignConfig(text_config={**text, "max_position_embeddings": 64}, vision_config=vision, projection_dim=32)
    return _save(path, AlignModel, config, EfficientNetImageProcessorPil(size=_SQUARE), tokenizer)


def _small_dino() -> dict[str, Any]:
    return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, **_READS}


def _labels() -> dict[str, Any]:
    return {"id2label": LABELS, "label2id": {name: place for place, name in LABELS.items()}}


def _vit_processor(side: int = _SIDE) -> Any:
    from transformers import ViTImageProcessorPil

    return ViTImageProcessorPil(size={"height": side, "width": side})


def _convnext_processor() -> Any:
    from transformers import ConvNextImageProcessorPil

    return ConvNextImageProcessorPil(size={"shortest_edge": _SIDE}, crop_pct=0.875)


def _siglip_tokenizer(path: Path) -> Any:
    """Return SigLIP's own tokenizer, which makes lower case of texts and drops their punctuation."""
    from sentencepiece import SentencePieceTrainer
    from transformers import SiglipTokenizer

    pieces = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=pieces,
        vocab_size=60,
        minloglevel=2,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    path.mkdir(parents=True, exist_ok=True)
    (path / "spiece.model").write_bytes(pieces.getvalue())
    return SiglipTokenizer(str(path / "spiece.model"), model_max_length=64)


def _siglip2_tokenizer() -> Any:
    from transformers import Siglip2Tokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz.,"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return Siglip2Tokenizer(vocab=vocabulary, merges=[], model_max_length=64)


def _siglip_text(tokenizer: Any) -> dict[str, Any]:
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    reads = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 64}
    return {**_SMALL, **reads, **ends, "projection_size": 32}


def _save(path: Path, model_class: Any, config: Any, *processors: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        # What starts at zero or one in every model, such as a bias, would hide mistakes.
        with torch.no_grad():
            for name, values in model.named_parameters():
                if name.endswith("bias"):
                    values.normal_(std=0.3)
    model.save_pretrained(path)
    for processor in processors:
        processor.save_pretrained(path)
    return path
