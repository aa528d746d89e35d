"""Pipelines of pictures in the shapes of Stable Diffusion, XL and Flux, at their usual sizes and at larger ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.memory.case import Case, Work
from bench.memory.weights import fill
from tiny.diffusion import clip_tokenizer, make_stable_diffusion, t5_tokenizer
from universal_core import GenerateImageRequest

Make = Callable[[Any], Any]

STEPS = 2
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def cases() -> list[Case]:
    """Return the cases of pipelines."""
    found = [Case("tiny pipeline", lambda path: make_stable_diffusion(path), partial(_pictures, 32, 1))]
    for dtype in ("bfloat16", "float32"):
        for side, pictures in ((512, 1), (768, 1), (512, 4)):
            found.append(_case("SD 1.5", _stable_diffusion, dtype, side, pictures))
    found.append(_case("SDXL", _xl, "bfloat16", 512, 1))
    found.append(_case("SDXL", _xl, "bfloat16", 1024, 1))
    found.append(_case("Flux of 2 + 4 layers", _flux, "bfloat16", 512, 1))
    found.append(_case("Flux of 2 + 4 layers", _flux, "bfloat16", 1024, 1))
    return found


def _case(name: str, make: Make, dtype: str, side: int, pictures: int) -> Case:
    options = {"dtype": dtype, "default_size": side, "max_batch": pictures}
    said = f"{name} {dtype} {pictures} of {side}x{side}"
    return Case(said, partial(_write, make=make), partial(_pictures, side, pictures), options)


def _pictures(side: int, pictures: int) -> list[Work]:
    request = GenerateImageRequest(prompt="a cat", n=pictures, size=(side, side), num_inference_steps=STEPS)
    return [Work("generate_image", [request])]


def _write(path: Path, make: Make) -> Path:
    import torch

    make(torch.bfloat16).save_pretrained(path)
    return path


def _stable_diffusion(dtype: Any) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    return StableDiffusionPipeline(
        vae=_autoencoder(dtype, latent_channels=4, sample_size=512),
        text_encoder=_clip(dtype),
        tokenizer=clip_tokenizer(),
        unet=_made(UNet2DConditionModel, dtype, sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _xl(dtype: Any) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = _made(
        UNet2DConditionModel,
        dtype,
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return StableDiffusionXLPipeline(
        vae=_autoencoder(dtype, latent_channels=4, sample_size=1024),
        text_encoder=_clip(dtype),
        text_encoder_2=_clip(dtype, projects=True, width=1280, layers=32, heads=20),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
    )


def _flux(dtype: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    text = T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=4, num_heads=64, feed_forward_proj="gated-gelu"
    )
    transformer = _made(FluxTransformer2DModel, dtype, in_channels=64, num_layers=2, num_single_layers=4)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(dtype, latent_channels=16, sample_size=1024, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_clip(dtype),
        tokenizer=clip_tokenizer(),
        text_encoder_2=_empty(T5EncoderModel, text, dtype),
        tokenizer_2=t5_tokenizer(),
        transformer=transformer,
    )


def _autoencoder(dtype: Any, **shape: Any) -> Any:
    from diffusers import AutoencoderKL

    return _made(AutoencoderKL, dtype, **_VAE, **shape)


def _clip(dtype: Any, *, projects: bool = False, width: int = 768, layers: int = 12, heads: int = 12) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
    )
    return _empty(CLIPTextModelWithProjection if projects else CLIPTextModel, config, dtype)


def _made(model_class: Any, dtype: Any, **config: Any) -> Any:
    import torch

    with torch.device("meta"):
        model = model_class(**config)
    return fill(model.to(dtype), dtype)


def _empty(model_class: Any, config: Any, dtype: Any) -> Any:
    import torch

    with torch.device("meta"):
        model = model_class(config)
    model = fill(model.to(dtype), dtype)
    model.tie_weights()
    return model
