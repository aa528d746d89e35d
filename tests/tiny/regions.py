"""Tiny models that say where things are: boxes, masks and depths out of random weights with real configurations.

Each ``make_*`` writes a complete model folder and returns its path.
"""

from pathlib import Path
from typing import Any

from tiny.tokenizers import byte_level_tokenizer

LABELS = {0: "cat", 1: "dog", 2: "car"}
WORDS = ("a", "cat", "dog", "red", "car", "##s")

# So that the weights of untrained models find something, and not the same everywhere.
_SPREAD = 0.5
_ALL_KINDS = {"class_labels_classifier__weight": 1.0, "class_labels_classifier__layers__2__weight": 1.0}
_SURE = {"class_predictor__weight": 3.0, "class_embed__weight": 1.0, "queries_embedder__weight": 1.0}
_DEEP = {"conv1__weight": 0.5, "conv2__weight": 0.5, "conv3__weight": 0.5, "projection__weight": 0.3}


def make_detr(path: Path, **changes: Any) -> Path:
    """Write a DETR over a ResNet; its processor keeps the shape of a picture and pads those of a batch."""
    from transformers import DetrForObjectDetection

    return _save(path, DetrForObjectDetection, _detr_config(changes), _detr_processor(), **_ALL_KINDS)


def make_detr_segmentation(path: Path, **changes: Any) -> Path:
    """Write a DETR that makes masks beside its boxes."""
    from transformers import DetrForSegmentation

    return _save(path, DetrForSegmentation, _detr_config(changes), _detr_processor(), **_ALL_KINDS)


def make_rt_detr(path: Path) -> Path:
    """Write an RT-DETR, whose processor makes every picture 64 pixels wide and high."""
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrImageProcessorPil, RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[16, 16, 32],
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=12,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_attention_heads=2,
        num_denoising=0,
        **_labels(),
    )
    return _save(path, RTDetrForObjectDetection, config, RTDetrImageProcessorPil(size=_square(64)))


def make_yolos(path: Path) -> Path:
    """Write a YOLOS, a vision transformer whose detection tokens become boxes."""
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    config = YolosConfig(
        **_transformer(),
        image_size=[32, 48],
        patch_size=8,
        num_detection_tokens=10,
        use_mid_position_embeddings=False,
        initializer_range=_SPREAD,
        **_labels(),
    )
    images = YolosImageProcessorPil(size=_edges())
    return _save(path, YolosForObjectDetection, config, images, detection_tokens=1.0, **_ALL_KINDS)


def make_owlvit(path: Path) -> Path:
    """Write an OWL-ViT, which looks for whatever words describe."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil, OwlViTProcessor

    tokenizer = byte_level_tokenizer(chat_template=None, context=16)
    config = OwlViTConfig(
        text_config={
            **_transformer(),
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**_transformer(), "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    processor = OwlViTProcessor(image_processor=OwlViTImageProcessorPil(size=_square(32)), tokenizer=tokenizer)
    return _save(path, OwlViTForObjectDetection, config, processor)


def make_grounding_dino(path: Path) -> Path:
    """Write a Grounding DINO: a Swin for pictures, a BERT for words, and a decoder that looks at both."""
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
        SwinConfig,
    )

    tokenizer = _wordpiece()
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=32,
            patch_size=4,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=2,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(**_transformer(), vocab_size=len(tokenizer), max_position_embeddings=64),
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=10,
        max_text_len=32,
        disable_custom_kernels=True,
    )
    # Its smallest map is a sixty-fourth of a picture, and of one pixel it could not be normalized.
    images = GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 144})
    processor = GroundingDinoProcessor(image_processor=images, tokenizer=tokenizer)
    return _save(path, GroundingDinoForObjectDetection, config, processor)


def make_segformer(path: Path) -> Path:
    """Write a SegFormer, which gives each pixel a label."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

    config = SegformerConfig(
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        initializer_range=_SPREAD,
        **_labels(),
    )
    return _save(path, SegformerForSemanticSegmentation, config, SegformerImageProcessorPil(size=_square(64)))


def make_maskformer(path: Path) -> Path:
    """Write a MaskFormer over a Swin."""
    from transformers import (
        DetrConfig,
        MaskFormerConfig,
        MaskFormerForInstanceSegmentation,
        MaskFormerImageProcessorPil,
        SwinConfig,
    )

    decoder = DetrConfig(
        use_timm_backbone=False,
        backbone_config=_resnet(),
        d_model=32,
        decoder_layers=1,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=6,
    )
    config = MaskFormerConfig(
        backbone_config=_swin(SwinConfig),
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=32,
        **_labels(),
    )
    images = MaskFormerImageProcessorPil(size=_edges())
    return _save(path, MaskFormerForInstanceSegmentation, config, images, **_SURE)


def make_mask2former(path: Path) -> Path:
    """Write a Mask2Former over a Swin."""
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessorPil,
        SwinConfig,
    )

    config = Mask2FormerConfig(
        backbone_config=_swin(SwinConfig),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=6,
        **_labels(),
    )
    images = Mask2FormerImageProcessorPil(size=_edges())
    return _save(path, Mask2FormerForUniversalSegmentation, config, images, **_SURE)


def make_oneformer(path: Path) -> Path:
    """Write a OneFormer, which is told in words what kind of masks to make."""
    from transformers import (
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessorPil,
        OneFormerProcessor,
        SwinConfig,
    )

    tokenizer = byte_level_tokenizer(chat_template=None, context=77)
    config = OneFormerConfig(
        backbone_config=_swin(SwinConfig),
        num_queries=6,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=32,
        query_dec_layers=1,
        text_encoder_width=32,
        text_encoder_context_length=77,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=len(tokenizer),
        task_seq_len=77,
        is_training=False,
        **_labels(),
    )
    images = OneFormerImageProcessorPil(size=_edges(), num_labels=len(LABELS), num_text=2)
    processor = OneFormerProcessor(image_processor=images, tokenizer=tokenizer)
    return _save(path, OneFormerForUniversalSegmentation, config, processor, **_SURE)


def make_eomt(path: Path) -> Path:
    """Write an EoMT, a vision transformer that makes masks; its processor pads a picture to a square."""
    return _eomt(path, {"shortest_edge": 64, "longest_edge": 64}, do_pad=True, do_split_image=False)


def make_cutting_eomt(path: Path) -> Path:
    """Write an EoMT whose processor cuts a picture into squares."""
    return _eomt(path, {"shortest_edge": 64, "longest_edge": None}, do_pad=False, do_split_image=True)


def make_clipseg(path: Path) -> Path:
    """Write a CLIPSeg, which makes a mask of whatever words describe."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor, ViTImageProcessorPil

    tokenizer = byte_level_tokenizer(chat_template=None, context=32)
    config = CLIPSegConfig(
        text_config={
            **_transformer(),
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**_transformer(), "num_hidden_layers": 3, "image_size": 32, "patch_size": 8},
        projection_dim=16,
        reduce_dim=16,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        conditional_layer=0,
    )
    processor = CLIPSegProcessor(image_processor=ViTImageProcessorPil(size=_square(32)), tokenizer=tokenizer)
    return _save(path, CLIPSegForImageSegmentation, config, processor)


def make_dpt(path: Path) -> Path:
    """Write a DPT, which estimates depths."""
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

    config = DPTConfig(
        **{**_transformer(), "num_hidden_layers": 4},
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        reassemble_factors=[4, 2, 1, 0.5],
        is_hybrid=False,
        initializer_range=0.1,
    )
    return _save(path, DPTForDepthEstimation, config, DPTImageProcessorPil(size=_square(32)))


def make_depth_anything(path: Path) -> Path:
    """Write a Depth Anything over a DINOv2; its processor keeps the shape of a picture."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    backbone = Dinov2Config(
        **{**_transformer(), "num_hidden_layers": 4},
        image_size=28,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        initializer_range=0.1,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
    )
    images = DPTImageProcessorPil(size=_square(56), keep_aspect_ratio=True, ensure_multiple_of=14)
    return _save(path, DepthAnythingForDepthEstimation, config, images, **_DEEP)


def make_glpn(path: Path) -> Path:
    """Write a GLPN, whose processor leaves a picture as large as it is."""
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessorPil

    config = GLPNConfig(
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        initializer_range=_SPREAD,
    )
    return _save(path, GLPNForDepthEstimation, config, GLPNImageProcessorPil())


def make_zoedepth(path: Path) -> Path:
    """Write a ZoeDepth over a BEiT, which estimates depths in metres."""
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation, ZoeDepthImageProcessorPil

    backbone = BeitConfig(
        **{**_transformer(), "num_hidden_layers": 4},
        image_size=64,
        patch_size=16,
        use_relative_position_bias=True,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        initializer_range=_SPREAD,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        backbone_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        bottleneck_features=16,
        num_relative_features=8,
        bin_embedding_dim=16,
        num_attractors=[2, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.1, "max_depth": 10.0, "name": "nyu"}],
    )
    images = ZoeDepthImageProcessorPil(size=_square(64), keep_aspect_ratio=True, ensure_multiple_of=32)
    return _save(path, ZoeDepthForDepthEstimation, config, images, **_DEEP)


def _eomt(path: Path, size: dict[str, int | None], **cuts: bool) -> Path:
    from transformers import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessorPil

    config = EomtConfig(
        **_transformer(), image_size=64, patch_size=16, num_blocks=1, num_queries=6, num_upscale_blocks=1, **_labels()
    )
    images = EomtImageProcessorPil(size=size, **cuts)
    return _save(path, EomtForUniversalSegmentation, config, images, **_SURE)


def _detr_config(changes: dict[str, Any]) -> Any:
    from transformers import DetrConfig

    settings = {
        "use_timm_backbone": False,
        "backbone_config": _resnet(),
        "d_model": 32,
        "encoder_layers": 1,
        "encoder_ffn_dim": 32,
        "encoder_attention_heads": 8,
        "decoder_layers": 1,
        "decoder_ffn_dim": 32,
        "decoder_attention_heads": 8,
        "num_queries": 10,
        "init_std": _SPREAD,
        "init_xavier_std": 3.0,
        **_labels(),
    }
    return DetrConfig(**{**settings, **changes})


def _detr_processor() -> Any:
    from transformers import DetrImageProcessorPil

    return DetrImageProcessorPil(size=_edges())


def _resnet() -> Any:
    from transformers import ResNetConfig

    return ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _swin(config_class: Any) -> Any:
    return config_class(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _transformer() -> dict[str, Any]:
    return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def _labels() -> dict[str, Any]:
    return {"id2label": LABELS, "label2id": {label: place for place, label in LABELS.items()}}


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _edges() -> dict[str, int]:
    return {"shortest_edge": 64, "longest_edge": 96}


def _wordpiece() -> Any:
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = (
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ".",
        "?",
        *letters,
        *("##" + one for one in letters),
        *WORDS,
    )
    return BertTokenizer(
        vocab={piece: place for place, piece in enumerate(dict.fromkeys(pieces))},
        do_lower_case=True,
        model_max_length=64,
    )


def _save(path: Path, model_class: Any, config: Any, processor: Any, **spread: float) -> Path:
    """Write a model; weights whose name ends in one of ``spread`` are drawn with that deviation."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        for name, weights in model.named_parameters():
            for ending, deviation in spread.items():
                if name.endswith(ending.replace("__", ".")):
                    torch.nn.init.normal_(weights, std=deviation)
        model.save_pretrained(path)
    processor.save_pretrained(path)
    return path
