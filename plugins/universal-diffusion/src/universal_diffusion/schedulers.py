"""Schedulers by the names that the field has for them, each made anew from the model's own configuration."""

import inspect
from collections.abc import Mapping
from functools import wraps
from typing import Any

import diffusers

from universal_core import BadRequest

Recipe = tuple[str, Mapping[str, Any]]

_MULTISTEP = "DPMSolverMultistepScheduler"
_PLAIN: Mapping[str, Any] = {"use_karras_sigmas": False}
_KARRAS: Mapping[str, Any] = {"use_karras_sigmas": True}
_ODE: Mapping[str, Any] = {"algorithm_type": "dpmsolver++"}
_SDE: Mapping[str, Any] = {"algorithm_type": "sde-dpmsolver++"}

# For models that predict noise, velocity or the picture itself.
DIFFUSION: Mapping[str, Recipe] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    # Without the warm-up of Runge-Kutta steps, as Stable Diffusion itself has it.
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", _PLAIN),
    "euler": ("EulerDiscreteScheduler", _PLAIN),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", _PLAIN),
    "kdpm2": ("KDPM2DiscreteScheduler", _PLAIN),
    "kdpm2_a": ("KDPM2AncestralDiscreteScheduler", _PLAIN),
    "dpm++": (_MULTISTEP, {**_ODE, **_PLAIN}),
    "dpm++_karras": (_MULTISTEP, {**_ODE, **_KARRAS}),
    "dpm++_sde": (_MULTISTEP, {**_SDE, **_PLAIN}),
    "dpm++_sde_karras": (_MULTISTEP, {**_SDE, **_KARRAS}),
    "dpm++_single": ("DPMSolverSinglestepScheduler", {**_ODE, **_PLAIN}),
    "deis": ("DEISMultistepScheduler", {"algorithm_type": "deis", **_PLAIN}),
    "unipc": ("UniPCMultistepScheduler", _PLAIN),
    "lcm": ("LCMScheduler", {}),
}

# For models that learned flow matching.
FLOW: Mapping[str, Recipe] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "lcm": ("FlowMatchLCMScheduler", {}),
    "dpm++": (_MULTISTEP, {**_ODE, **_PLAIN}),
    "dpm++_sde": (_MULTISTEP, {**_SDE, **_PLAIN}),
    "unipc": ("UniPCMultistepScheduler", _PLAIN),
}

KNOWN = tuple(dict.fromkeys([*DIFFUSION, *FLOW]))
"""Every name that a request may use with one model or another."""


class Schedulers:
    """Makes schedulers for one model; what one of them remembers of its steps never meets another request."""

    def __init__(self, pipeline: Any, default: str | None = None) -> None:
        """``pipeline`` has the scheduler that the model came with; ``default`` is used where a request names none."""
        own = decoder_of(pipeline).scheduler
        self._class = type(own)
        self._config = dict(own.config)
        self._default = default

    @property
    def own_name(self) -> str:
        """What the model's own scheduler is called, by diffusers where it has no name here."""
        return next(
            (name for name, recipe in self._recipes.items() if recipe[0] == self._class.__name__), self._class.__name__
        )

    def most_steps(self, name: str | None) -> int:
        """Return how many steps there are at most: as many as noise levels, less those that an offset leaves out.

        LCM's takes its steps from a few of them, 50 if the model says nothing else.
        """
        levels = int(self._config.get("num_train_timesteps") or 1000) - int(self._config.get("steps_offset") or 0)
        few = inspect.signature(self._kind(name).__init__).parameters.get("original_inference_steps")
        return levels if few is None else min(levels, int(self._config.get("original_inference_steps") or few.default))

    def name(self, asked: str | None, pipeline: Any) -> str | None:
        """Return which scheduler a request gets, None for the model's own.

        Raises BadRequest for a name that is not known, or that does not go with the model.
        """
        name = asked or self._default
        if name is None:
            return None
        if name not in KNOWN:
            raise BadRequest(
                f"scheduler: there is none called {name!r}; known are {', '.join(KNOWN)}", param="scheduler"
            )
        possible = self.names(pipeline)
        if name not in possible:
            ways = (
                f"; these go with it: {', '.join(possible)}" if possible else ", which has a scheduler of its own kind"
            )
            raise BadRequest(f"scheduler: {name} does not go with this model{ways}", param="scheduler")
        return name

    def names(self, pipeline: Any) -> tuple[str, ...]:
        """Return the names that go with the model in this pipeline."""
        if self._flows:
            return tuple(name for name in FLOW if _fits_flow(_class(FLOW[name]), pipeline))
        return tuple(name for name in DIFFUSION if self._is_compatible(name)) if self._is_diffusion else ()

    def make(self, name: str | None) -> Any:
        """Return a new scheduler: the model's own for None."""
        if name is None:
            return self._class.from_config(self._config)
        found = self._kind(name)
        changes = {**self._recipes[name][1], **(self._flow_settings() if self._flows else {})}
        takes = inspect.signature(found.__init__).parameters
        made = found.from_config(self._config, **{name: value for name, value in changes.items() if name in takes})
        if self._flows and not made.config.get("use_dynamic_shifting"):
            _without_shift(made)
        return made

    def _kind(self, name: str | None) -> Any:
        return self._class if name is None else _class(self._recipes[name])

    @property
    def _recipes(self) -> Mapping[str, Recipe]:
        return FLOW if self._flows else DIFFUSION

    @property
    def _flows(self) -> bool:
        return self._class.__name__.startswith("FlowMatch") or bool(self._config.get("use_flow_sigmas"))

    @property
    def _is_diffusion(self) -> bool:
        # The schedulers of diffusers say which others understand their configuration; LCM's says it of none.
        named = {other.__name__ for other in self._class._get_compatibles()}
        return "DDIMScheduler" in named or self._class.__name__ == "LCMScheduler"

    def _is_compatible(self, name: str) -> bool:
        # PNDM combines predictions of noise, so that it has no use for a model that predicts pictures.
        return not (name == "pndm" and self._config.get("prediction_type") == "sample")

    def _flow_settings(self) -> dict[str, Any]:
        shift = self._config.get("shift", self._config.get("flow_shift", 1.0))
        return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift, "shift": shift}


def draw_from(scheduler: Any, generators: Any) -> None:
    """Let a scheduler that belongs to one batch draw its noise from the generators of the rows.

    The pipelines of Stable Diffusion do that themselves; those of Flux and Stable Diffusion 3 leave a scheduler that
    adds noise to PyTorch's own generator, whose pictures nobody could make again.
    """
    step = scheduler.step
    if "generator" not in inspect.signature(step).parameters:
        return

    @wraps(step)
    def drawing(*args: Any, **keywords: Any) -> Any:
        return step(*args, **{"generator": generators, **keywords})

    scheduler.step = drawing


def _without_shift(scheduler: Any) -> None:
    """Let a scheduler without dynamic shifting do without the shift that Flux's pipelines send in any case.

    The schedulers of flow matching pass over it, and DPM-Solver stops at it.
    """
    set_timesteps = scheduler.set_timesteps

    @wraps(set_timesteps)
    def unshifted(*args: Any, mu: float | None = None, **keywords: Any) -> Any:
        return set_timesteps(*args, **keywords)

    scheduler.set_timesteps = unshifted


def decoder_of(pipeline: Any) -> Any:
    """Return the pipeline whose scheduler counts: of one that combines a prior and a decoder, that is the decoder."""
    return getattr(pipeline, "decoder_pipe", pipeline)


def _class(recipe: Recipe) -> Any:
    return getattr(diffusers, recipe[0])


def _fits_flow(scheduler_class: Any, pipeline: Any) -> bool:
    """Whether a scheduler has what this pipeline asks of one: noise scaled to a step, and sigmas of its choice."""
    if _uses(pipeline, "scale_noise") and not hasattr(scheduler_class, "scale_noise"):
        return False
    takes = inspect.signature(scheduler_class.set_timesteps).parameters
    # Pipelines that lay out the sigmas themselves leave it to schedulers that have flow sigmas of their own.
    own_sigmas = "use_flow_sigmas" in inspect.signature(scheduler_class.__init__).parameters
    return own_sigmas or "sigmas" in takes or not _uses(pipeline, "linspace")


def _uses(pipeline: Any, name: str) -> bool:
    methods = [getattr(type(pipeline), method, None) for method in ("__call__", "prepare_latents")]
    return any(name in inspect.unwrap(method).__code__.co_names for method in methods if method is not None)
