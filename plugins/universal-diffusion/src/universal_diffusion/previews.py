"""Unfinished pictures: what the model expects at a step, decoded from the latents."""

from functools import wraps
from typing import Any

import torch
from PIL import Image


class Expectation:
    """Notes each step of a scheduler, and tells what the finished latents would be by it."""

    def __init__(self, scheduler: Any) -> None:
        """Listen to a scheduler that belongs to one batch alone."""
        self._scheduler = scheduler
        self._step: tuple[Any, Any, Any, Any] | None = None
        step = scheduler.step

        @wraps(step)
        def noted(model_output: Any, timestep: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
            result = step(model_output, timestep, sample, *args, **keywords)
            self._step = (model_output, timestep, sample, result)
            return result

        scheduler.step = noted

    @torch.no_grad()
    def latents(self) -> torch.Tensor | None:
        """Return the latents of the finished pictures as the last step expects them, None before the first."""
        if self._step is None:
            return None
        output, timestep, sample, result = self._step
        if isinstance(result, tuple) and len(result) > 1 and getattr(result[1], "shape", None) == sample.shape:
            return result[1]  # type: ignore[no-any-return]
        return self._from_output(output, torch.as_tensor(timestep), sample)

    def _from_output(self, output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        """Return what the scheduler itself does not tell, by the model's output at a step."""
        config = self._scheduler.config
        kind = config.get("prediction_type", "flow_prediction")
        if config.get("use_flow_sigmas") or kind == "flow_prediction":
            # Rectified flow: x_t = (1 - s) x_0 + s e, and the model predicts e - x_0 (https://arxiv.org/abs/2209.03003).
            share: torch.Tensor = (timestep / config.num_train_timesteps).to(sample.device, sample.dtype)
            return sample - share * output
        if kind == "sample":
            return output
        # Equations 12 and 15 of DDIM (https://arxiv.org/abs/2010.02502), and v of https://arxiv.org/abs/2202.00512.
        alpha: torch.Tensor = self._scheduler.alphas_cumprod[timestep.long().cpu()].to(sample.device, sample.dtype)
        if kind == "v_prediction":
            return alpha.sqrt() * sample - (1 - alpha).sqrt() * output
        return (sample - (1 - alpha).sqrt() * output) / alpha.sqrt()


@torch.no_grad()
def decode(pipeline: Any, latents: torch.Tensor, size: tuple[int, int]) -> list[Image.Image]:
    """Return the pictures in latents as the pipeline would decode them; none where they are packed in a way of its own.

    ``size`` is width and height in pixels.
    """
    vae = getattr(pipeline, "vae", None)
    if vae is None or not hasattr(pipeline, "image_processor"):
        return []
    if hasattr(pipeline, "_unpack_latents") and latents.ndim == 3:
        latents = pipeline._unpack_latents(latents, size[1], size[0], pipeline.vae_scale_factor)
    scaled = _scaled(latents, vae.config)
    if scaled is None:
        return []
    pixels = _pixels(vae, scaled)
    pixels = pixels[:, :, 0] if pixels.ndim == 5 else pixels
    return list(pipeline.image_processor.postprocess(pixels, output_type="pil"))


def _scaled(latents: torch.Tensor, config: Any) -> torch.Tensor | None:
    """Return latents as the autoencoder made them: pipelines work with ones of mean 0 and variance 1."""
    channels = config.get("latent_channels") or config.get("z_dim")
    if latents.ndim not in (4, 5) or latents.shape[1] != channels:
        return None
    factor, mean, spread = config.get("scaling_factor") or 1.0, config.get("latents_mean"), config.get("latents_std")
    if mean is not None and spread is not None:
        shape = (1, channels, *[1] * (latents.ndim - 2))
        return latents * torch.tensor(spread).view(shape).to(latents) / factor + torch.tensor(mean).view(shape).to(
            latents
        )
    return latents / factor + (config.get("shift_factor") or 0.0)


def _pixels(vae: Any, latents: torch.Tensor) -> Any:
    """Decode as the pipelines do: in float32 where an autoencoder overflows in float16."""
    before = vae.dtype
    if before == torch.float16 and vae.config.get("force_upcast"):
        vae.to(torch.float32)
    try:
        return vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    finally:
        if vae.dtype != before:
            vae.to(before)
