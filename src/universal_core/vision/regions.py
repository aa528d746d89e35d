"""POST /v1/vision/detect, /v1/vision/segment and /v1/vision/depth."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, read_form, reads
from universal_core.messages import (
    Detection,
    DetectRequest,
    DetectResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    Mask,
    SegmentRequest,
    SegmentResult,
    Usage,
)
from universal_core.openai import InputUsage, Labels, labels_of, look
from universal_core.runtime import Runtime
from universal_core.vision.bodies import ImagesBody


class RegionsBody(ImagesBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the request's bodies of ``/v1/vision/detect`` and ``/v1/vision/segment`` have in common."""

    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    candidate_labels: Labels | None = None


class DetectBody(RegionsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/vision/detect``."""

    def to_request(self, images: Sequence[bytes]) -> DetectRequest:
        """Return the domain's request. Raises BadRequest."""
        labels = labels_of(self.candidate_labels)
        return DetectRequest(images=tuple(images), threshold=self.threshold, labels=labels)


class SegmentBody(RegionsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/vision/segment``."""

    def to_request(self, images: Sequence[bytes]) -> SegmentRequest:
        """Return the domain's request. Raises BadRequest."""
        labels = labels_of(self.candidate_labels)
        return SegmentRequest(images=tuple(images), threshold=self.threshold, labels=labels)


class DepthBody(ImagesBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/vision/depth``."""

    def to_request(self, images: Sequence[bytes]) -> EstimateDepthRequest:
        """Return the domain's request."""
        return EstimateDepthRequest(images=tuple(images))


class DetectedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found in one picture, and its size in pixels where the model tells it."""

    index: int
    detections: tuple[Detection, ...]
    width: int | None = None
    height: int | None = None


class MaskBody(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a picture; its mask is a PNG as base64."""

    label: str
    score: float | None
    mask: bytes

    @classmethod
    def of(cls, mask: Mask) -> "MaskBody":
        """Return a part as it is sent."""
        return cls(label=mask.label, score=mask.score, mask=mask.png)


class SegmentedImage(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one picture."""

    index: int
    segments: list[MaskBody]


class MeasuredImage(msgspec.Struct, frozen=True, kw_only=True):
    """The depths of one picture: a PNG of 16 bits as base64, black for ``min`` and white for ``max``."""

    index: int
    depth: bytes
    min: float
    max: float


class Regions(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    object: Literal["list"] = "list"
    data: list[DetectedImage] | list[SegmentedImage] | list[MeasuredImage]
    model: str
    usage: InputUsage

    @classmethod
    def of(
        cls, model: str, usage: Usage, data: list[DetectedImage] | list[SegmentedImage] | list[MeasuredImage]
    ) -> "Regions":
        """Return what is told of each picture, in the order of the request."""
        return cls(data=data, model=model, usage=InputUsage.of(usage.prompt_tokens))


@reads(DetectBody)
async def detect(request: Request) -> Response:
    """Find things in pictures."""
    result, call = await look(request, await read_form(request, DetectBody), "detect", DetectResult)
    sizes = result.sizes or ((None, None),) * len(result.images)
    data = [
        DetectedImage(index=at, detections=found, width=width, height=height)
        for at, (found, (width, height)) in enumerate(zip(result.images, sizes, strict=True))
    ]
    return answer(Regions.of(call.plan.name, result.usage, data), [call])


@reads(SegmentBody)
async def segment(request: Request) -> Response:
    """Say of every pixel what it belongs to."""
    result, call = await look(request, await read_form(request, SegmentBody), "segment", SegmentResult)
    data = [SegmentedImage(index=at, segments=list(map(MaskBody.of, found))) for at, found in enumerate(result.images)]
    return answer(Regions.of(call.plan.name, result.usage, data), [call])


@reads(DepthBody)
async def measure(request: Request) -> Response:
    """Say how far away each pixel is."""
    result, call = await look(request, await read_form(request, DepthBody), "estimate_depth", EstimateDepthResult)
    data = [
        MeasuredImage(index=at, depth=found.png, min=found.lowest, max=found.highest)
        for at, found in enumerate(result.images)
    ]
    return answer(Regions.of(call.plan.name, result.usage, data), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    return [
        Route("/v1/vision/detect", detect, methods=["POST"]),
        Route("/v1/vision/segment", segment, methods=["POST"]),
        Route("/v1/vision/depth", measure, methods=["POST"]),
    ]
