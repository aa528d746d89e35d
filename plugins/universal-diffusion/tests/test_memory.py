"""The memory that pictures take: told within a quarter of what they take, and refused in time with what would fit."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel

from tiny import diffusion
from universal_core import InsufficientMemory
from universal_core.pytorch import taken_memory
from universal_diffusion.estimate import Shape, decoding_bytes, denoising_bytes
from universal_diffusion.memory import check_room, free_memory, tile
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.placement import Needs, Placement, choose_placement

GIGABYTE = 10**9
STABLE_DIFFUSION = Shape(
    {
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "attention_head_dim": 8,
        "sample_size": 64,
    },
    {"block_out_channels": [128, 256, 512, 512], "latent_channels": 4, "sample_size": 512},
)
NEEDS = Needs(weights=2 * GIGABYTE, largest=int(1.7 * GIGABYTE), shape=STABLE_DIFFUSION, element=2)
USUAL = DiffusionOptions()


class Highest:
    """Counts the bytes of all tensors that live while a module runs, and keeps the highest count."""

    def __init__(self) -> None:
        self.bytes = 0

    def of(self, call: Callable[[], Any]) -> int:
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.inference_mode(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
            call()
        events = profile.profiler.kineto_results.events()
        changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
        now = 0
        for _, change in changes:
            now += change
            self.bytes = max(self.bytes, now)
        return self.bytes


@pytest.mark.parametrize("side", [64, 128])
def test_decoding_is_told_within_a_quarter(side: int) -> None:
    vae = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
        norm_num_groups=8,
    ).eval()
    highest = Highest().of(lambda: vae.decode(torch.randn(1, 4, side // 2, side // 2)))
    told = decoding_bytes(Shape({}, dict(vae.config)), (side, side), 4)
    assert highest <= told <= 1.34 * highest


@pytest.mark.parametrize(("side", "batch"), [(96, 2), (128, 1)])
def test_a_step_of_a_unet_is_told_within_a_quarter(side: int, batch: int) -> None:
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()
    latents, prompt = torch.randn(batch, 4, side // 2, side // 2), torch.randn(batch, 77, 32)
    highest = Highest().of(lambda: unet(latents, 10, prompt))
    shape = Shape(dict(unet.config), {"block_out_channels": [1, 1]})
    told = denoising_bytes(shape, (side, side), batch, 4)
    assert highest <= told <= 1.34 * highest


def test_a_step_of_a_transformer_is_told_within_a_quarter() -> None:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=8,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    ).eval()
    positions, words = 32 * 32, 16
    arguments = {
        "hidden_states": torch.randn(1, positions, 16),
        "encoder_hidden_states": torch.randn(1, words, 32),
        "pooled_projections": torch.randn(1, 32),
        "timestep": torch.ones(1),
        "img_ids": torch.zeros(positions, 3),
        "txt_ids": torch.zeros(words, 3),
    }
    highest = Highest().of(lambda: transformer(**arguments))
    shape = Shape(dict(transformer.config), {"block_out_channels": [1] * 4, "latent_channels": 4})
    told = denoising_bytes(shape, (512, 512), 1, 4)
    assert highest <= told <= 1.34 * highest


def test_the_usual_size_is_what_the_model_was_made_for() -> None:
    assert STABLE_DIFFUSION.usual_size == (512, 512)
    assert Shape({"sample_size": [32, 64]}, STABLE_DIFFUSION.vae).usual_size == (512, 256)
    assert Shape({}, {}).usual_size == (512, 512)


def test_pictures_take_more_the_larger_and_the_more_they_are() -> None:
    one = NEEDS.picture((512, 512))
    assert NEEDS.picture((1024, 1024)) == pytest.approx(4 * one, rel=0.01)
    assert NEEDS.picture((512, 512), 8) > one
    assert NEEDS.picture((512, 512), 8) > NEEDS.picture((512, 512), 8, guided=False)
    assert NEEDS.picture((1024, 1024), tile=512 * 512) < NEEDS.picture((1024, 1024))


def test_where_everything_fits_nothing_is_done() -> None:
    assert choose_placement(NEEDS, 80 * GIGABYTE, "cuda", USUAL) == Placement()
    assert Placement().words() == ""


@pytest.mark.parametrize(
    ("room", "offload"), [(8.0, "none"), (3.5, "none"), (2.7, "model"), (2.0, "sequential"), (0.5, "sequential")]
)
def test_offloading_is_chosen_from_what_a_gpu_has_room_for(room: float, offload: str) -> None:
    assert choose_placement(NEEDS, int(room * GIGABYTE), "cuda", USUAL).offload == offload


def test_large_pictures_are_decoded_in_tiles_where_there_is_no_room_for_them_whole() -> None:
    placement = choose_placement(NEEDS, 4 * GIGABYTE, "cuda", USUAL)
    assert placement.offload == "none"
    assert placement.tile_above is not None
    assert placement.tiles((1024, 1024))
    assert not placement.tiles((512, 512))
    assert "VAE tiling above" in placement.words()


def test_attention_is_sliced_on_apple_gpus_alone() -> None:
    assert choose_placement(NEEDS, 3 * GIGABYTE, "mps", USUAL).attention_slicing
    assert not choose_placement(NEEDS, 60 * GIGABYTE, "mps", USUAL).attention_slicing
    assert not choose_placement(NEEDS, 3 * GIGABYTE, "cpu", USUAL).attention_slicing


def test_options_decide_before_the_estimate() -> None:
    never = msgspec.structs.replace(USUAL, enable_optimizations=False)
    assert choose_placement(NEEDS, GIGABYTE, "cuda", never) == Placement()
    asked = msgspec.structs.replace(USUAL, cpu_offload="model", attention_slicing=True, vae_tiling=True)
    placement = choose_placement(NEEDS, 80 * GIGABYTE, "cuda", asked)
    assert placement == Placement(offload="model", attention_slicing=True, tile_above=0)
    assert placement.words() == "each component is on the GPU only while it computes, attention in slices, VAE tiling"


def test_what_fits_is_let_through() -> None:
    check_room(NEEDS, Placement(), (512, 512), 4, guided=True, free=8 * GIGABYTE)


def test_what_cannot_fit_is_refused_with_the_numbers_and_a_size_that_would() -> None:
    free = GIGABYTE
    with pytest.raises(InsufficientMemory, match=r"a picture of 2048x1024 would take about 4.3 GB") as caught:
        check_room(NEEDS, Placement(), (2048, 1024), 1, guided=True, free=free)
    assert "1.0 GB are free" in caught.value.message
    width, height = map(int, caught.value.message.split(" would fit")[0].split()[-1].split("x"))
    check_room(NEEDS, Placement(), (width, height), 1, guided=True, free=free)
    assert width == pytest.approx(2 * height, rel=0.15)
    assert caught.value.param == "size"


def test_fewer_pictures_at_a_time_are_the_first_advice() -> None:
    free = NEEDS.picture((512, 512), 7)
    with pytest.raises(InsufficientMemory, match=r"16 pictures of 512x512 .* 7 at a time would fit"):
        check_room(NEEDS, Placement(), (512, 512), 16, guided=True, free=free)


def test_where_nothing_fits_the_message_says_so() -> None:
    with pytest.raises(InsufficientMemory, match="no size would fit"):
        check_room(NEEDS, Placement(), (512, 512), 1, guided=True, free=1000)


def test_a_decoder_uses_tiles_for_large_pictures_only() -> None:
    vae = diffusion.autoencoder()
    placement = Placement(tile_above=32 * 32)
    assert tile(vae, placement, (64, 64))
    assert vae.use_tiling
    assert not tile(vae, placement, (32, 32))
    assert not vae.use_tiling
    assert not tile(None, placement, (64, 64))


def test_free_memory_is_that_of_the_device() -> None:
    assert 0 < free_memory(torch.device("cpu")) < 2**50
    assert taken_memory(torch.device("cpu")) == 0
