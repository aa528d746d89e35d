"""Tiny diffusion pipelines with random weights: the real classes of every family, thousands of times smaller.

Each ``make_*`` writes a complete model folder and returns its path. Pictures are multiples of 2 pixels; 32 is usual.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

SIZE = 32
"""The pictures' usual width and height."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_MERGES = [("t", "h"), ("th", "e</w>"), ("c", "a"), ("ca", "t</w>")]
_CLIP_END = ("<|startoftext|>", "<|endoftext|>")


def make_stable_diffusion(path: Path, *, vae: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a Stable Diffusion; ``changes`` are to its UNet's configuration, ``vae`` to its autoencoder's."""
    from diffusers import StableDiffusionPipeline

    return _save_stable_diffusion(path, StableDiffusionPipeline, changes, vae)


def make_inpainting(path: Path, **changes: Any) -> Path:
    """Write a Stable Diffusion for inpainting, whose UNet reads mask and masked picture in 5 more channels."""
    from diffusers import StableDiffusionInpaintPipeline

    return _save_stable_diffusion(path, StableDiffusionInpaintPipeline, {"in_channels": 9, **changes})


def make_instruct_pix2pix(path: Path, **changes: Any) -> Path:
    """Write an InstructPix2Pix, whose UNet reads the picture to be changed in 4 more channels."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    return _save_stable_diffusion(path, StableDiffusionInstructPix2PixPipeline, {"in_channels": 8, **changes})


def make_guarded(path: Path) -> Path:
    """Write a Stable Diffusion with a safety checker that finds nothing to object to."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    with _seeded():
        parts = _stable_diffusion_parts({})
        checker = StableDiffusionSafetyChecker(CLIPConfig(text_config=_SMALL, vision_config=_SMALL | _SEES))
        # A threshold that no cosine reaches: what random weights think of a picture is of no interest.
        with torch.no_grad():
            checker.concept_embeds_weights.fill_(2)
            checker.special_care_embeds_weights.fill_(2)
        processor = CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
        StableDiffusionPipeline(**parts, safety_checker=checker, feature_extractor=processor).save_pretrained(path)
    return path


def make_sdxl(path: Path, **changes: Any) -> Path:
    """Write a Stable Diffusion XL: two text encoders, and sizes as a condition."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    special = {
        "cross_attention_dim": 64,
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "transformer_layers_per_block": (1, 1),
        "projection_class_embeddings_input_dim": 32 + 6 * 8,
    }
    with _seeded():
        StableDiffusionXLPipeline(
            vae=autoencoder(),
            text_encoder=_clip_text(),
            text_encoder_2=_clip_text(projects=True, hidden_act="gelu"),
            tokenizer=clip_tokenizer(),
            tokenizer_2=clip_tokenizer(),
            unet=unet(**special | changes),
            scheduler=EulerDiscreteScheduler(**_BETAS, steps_offset=1, timestep_spacing="leading"),
        ).save_pretrained(path)
    return path


def make_sd3(path: Path) -> Path:
    """Write a Stable Diffusion 3: three text encoders, a transformer, flow matching."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    with _seeded():
        transformer = SD3Transformer2DModel(
            sample_size=16,
            patch_size=1,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            pooled_projection_dim=64,
        )
        StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=autoencoder(latent_channels=16, **_FLOW_LATENTS),
            text_encoder=_clip_text(projects=True),
            tokenizer=clip_tokenizer(),
            text_encoder_2=_clip_text(projects=True),
            tokenizer_2=clip_tokenizer(),
            text_encoder_3=_t5(),
            tokenizer_3=t5_tokenizer(),
        ).save_pretrained(path)
    return path


def make_flux(path: Path) -> Path:
    """Write a Flux whose guidance is an input of its transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    with _seeded():
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        )
        FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=autoencoder(**_FLOW_LATENTS),
            text_encoder=_clip_text(),
            tokenizer=clip_tokenizer(),
            text_encoder_2=_t5(),
            tokenizer_2=t5_tokenizer(),
            transformer=transformer,
        ).save_pretrained(path)
    return path


def make_pixart(path: Path) -> Path:
    """Write a PixArt-Sigma, which makes pictures of text and nothing else."""
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    with _seeded():
        transformer = PixArtTransformer2DModel(
            sample_size=16,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=24,
            out_channels=8,
            attention_bias=True,
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            norm_eps=1e-6,
            use_additional_conditions=False,
        )
        PixArtSigmaPipeline(
            tokenizer=t5_tokenizer(),
            text_encoder=_t5(),
            vae=autoencoder(),
            transformer=transformer,
            scheduler=DPMSolverMultistepScheduler(),
        ).save_pretrained(path)
    return path


def make_sana(path: Path) -> Path:
    """Write a Sana: linear attention, a deep-compression autoencoder, a Gemma that reads the prompt."""
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    with _seeded():
        tokenizer = gemma_tokenizer()
        shape = {"head_dim": 16, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
        transformer = SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=32,
        )
        vae = AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.41407,
        )
        SanaPipeline(
            tokenizer=tokenizer,
            text_encoder=Gemma2Model(Gemma2Config(**shape, **heads)),
            vae=vae,
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        ).save_pretrained(path)
    return path


def make_legacy_tokenizer(path: Path) -> Path:
    """Write a Stable Diffusion with its tokenizer as of old: vocab.json and merges.txt in place of tokenizer.json."""
    make_stable_diffusion(path)
    folder = path / "tokenizer"
    model = msgspec.json.decode((folder / "tokenizer.json").read_bytes())["model"]
    (folder / "vocab.json").write_bytes(msgspec.json.encode(model["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in _MERGES))
    (folder / "tokenizer.json").unlink()
    return path


def make_half(path: Path) -> Path:
    """Write a Stable Diffusion that has only its fp16 variant."""
    import torch
    from diffusers import StableDiffusionPipeline

    with _seeded():
        pipeline = StableDiffusionPipeline(**_stable_diffusion_parts({}), **_UNGUARDED)
        pipeline.to(torch.float16).save_pretrained(path, variant="fp16")
    return path


def make_pickled(path: Path) -> Path:
    """Write a Stable Diffusion whose weights are pickles."""
    import torch
    from safetensors.torch import load_file

    make_stable_diffusion(path)
    for file in list(path.glob("*/*.safetensors")):
        name = "pytorch_model.bin" if file.stem == "model" else "diffusion_pytorch_model.bin"
        torch.save(load_file(file), file.with_name(name))
        file.unlink()
    return path


def make_lora(path: Path, model: Path, *, seed: int = 0, rank: int = 2) -> Path:
    """Write an adapter, with random weights that show, for the attention of the UNet of ``model``."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    with _seeded(seed):
        found = UNet2DConditionModel.from_pretrained(model / "unet")
        found.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
        weights = {name: torch.randn_like(value) for name, value in get_peft_model_state_dict(found).items()}
        StableDiffusionPipeline.save_lora_weights(path, unet_lora_layers=convert_state_dict_to_diffusers(weights))
    return path


def clip_tokenizer() -> Any:
    """Return CLIP's tokenizer with a vocabulary of single bytes and two words."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    merged = ("th", "the</w>", "ca", "cat</w>")
    pieces = [*letters, *(letter + "</w>" for letter in letters), *merged, *_CLIP_END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=_MERGES, model_max_length=77)


def t5_tokenizer() -> Any:
    """Return T5's tokenizer with a vocabulary of single letters."""
    from transformers import T5TokenizerFast

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    starts = [("▁" + letter, -2.0) for letter in _LETTERS]
    insides = [(letter, -3.0) for letter in _LETTERS + ".,!?'"]
    return T5TokenizerFast(vocab=[*special, *starts, *insides, ("▁", -4.0)], extra_ids=0, model_max_length=64)


def gemma_tokenizer() -> Any:
    """Return Gemma's tokenizer with a vocabulary of single letters."""
    from transformers import GemmaTokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *_LETTERS, *_LETTERS.upper()[:26], *".,!?'\":-()"]
    return GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def unet(**changes: Any) -> Any:
    """Return Stable Diffusion's UNet with two levels of 8 and 16 channels."""
    from diffusers import UNet2DConditionModel

    usual: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "sample_size": SIZE // 2,
        "in_channels": 4,
        "out_channels": 4,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
    }
    return UNet2DConditionModel(**usual | changes)


def autoencoder(**changes: Any) -> Any:
    """Return an autoencoder whose latents are half as wide and high as the picture."""
    from diffusers import AutoencoderKL

    usual: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
        "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": SIZE,
    }
    return AutoencoderKL(**usual | changes)


_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "projection_dim": 32,
}
_SEES: dict[str, Any] = {"image_size": 30, "patch_size": 15}
_BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_UNGUARDED: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
_FLOW_LATENTS: dict[str, Any] = {
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "shift_factor": 0.0609,
    "scaling_factor": 1.5035,
}


@contextmanager
def _seeded(seed: int = 0) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _save_stable_diffusion(
    path: Path, pipeline_class: Any, changes: dict[str, Any], vae: dict[str, Any] | None = None
) -> Path:
    with _seeded():
        pipeline_class(**_stable_diffusion_parts(changes, vae), **_UNGUARDED).save_pretrained(path)
    return path


def _stable_diffusion_parts(changes: dict[str, Any], vae: dict[str, Any] | None = None) -> dict[str, Any]:
    from diffusers import PNDMScheduler

    return {
        "vae": autoencoder(**vae or {}),
        "text_encoder": _clip_text(),
        "tokenizer": clip_tokenizer(),
        "unet": unet(**changes),
        "scheduler": PNDMScheduler(**_BETAS, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1),
    }


def _clip_text(*, projects: bool = False, **changes: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    size = len(clip_tokenizer())
    ends = {"bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    config = CLIPTextConfig(vocab_size=size, max_position_embeddings=77, **_SMALL, **ends, **changes)
    return (CLIPTextModelWithProjection if projects else CLIPTextModel)(config)


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    shape = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
    return T5EncoderModel(T5Config(vocab_size=len(t5_tokenizer()), **shape))
