"""What is to be painted: what the pictures of a batch have in common, and what each has of its own."""

from dataclasses import dataclass, field
from typing import Any

from universal_core import Lora
from universal_diffusion.inputs import Inputs
from universal_diffusion.pipelines import Way


@dataclass(frozen=True, slots=True)
class Settings:
    """What pictures made in one call of a pipeline must have in common.

    ``size`` is width and height. ``steps`` are those that the pipeline is told, of which ``strength`` leaves out some.
    ``guided`` says that each row has a negative prompt, ``doubled`` that each step makes two predictions.
    ``keywords`` is all that the call is given beside what rows have. A ``solo`` picture is made alone.
    """

    way: Way
    size: tuple[int, int]
    steps: int
    scheduler: str | None
    guided: bool
    doubled: bool
    loras: tuple[Lora, ...]
    clip_skip: int | None
    keywords: tuple[tuple[str, Any], ...]
    solo: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One picture to be made."""

    prompt: str
    negative_prompt: str | None
    seed: int
    inputs: Inputs = field(default_factory=Inputs)


@dataclass(frozen=True, slots=True)
class Order:
    """A request as its model will carry it out: one row for each picture, and how many previews of each."""

    settings: Settings
    rows: tuple[Row, ...]
    previews: int = 0
    guidance: float | None = None
    strength: float | None = None
