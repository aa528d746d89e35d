"""POST /v1/vision/classify and /v1/vision/clip."""

from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, read_form, reads
from universal_core.messages import ClassifyImageRequest, MatchLabelsRequest, PredictionsResult
from universal_core.openai import Labels, Positive, Predictions, given, labels_of, look, template_of
from universal_core.runtime import Runtime
from universal_core.vision.bodies import ImagesBody


class ClassifyBody(ImagesBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/vision/classify``."""

    top_k: Positive | None = None

    def to_request(self, images: Sequence[bytes]) -> ClassifyImageRequest:
        """Return the domain's request."""
        return ClassifyImageRequest(images=tuple(images), **given(top_k=self.top_k))


class ClipBody(ImagesBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/vision/clip``."""

    candidate_labels: Labels
    hypothesis_template: str | None = None

    def to_request(self, images: Sequence[bytes]) -> MatchLabelsRequest:
        """Return the domain's request. Raises BadRequest."""
        template = template_of(self.hypothesis_template, "a photo of a {}")
        labels = labels_of(self.candidate_labels)
        return MatchLabelsRequest(images=tuple(images), labels=labels, hypothesis_template=template)


@reads(ClassifyBody)
async def classify(request: Request) -> Response:
    """Say which of the model's labels fit pictures best."""
    result, call = await look(request, await read_form(request, ClassifyBody), "classify_image", PredictionsResult)
    return answer(Predictions.of(call.plan.name, result.images, result.usage.prompt_tokens), [call])


@reads(ClipBody)
async def clip(request: Request) -> Response:
    """Say how well the request's labels fit pictures."""
    result, call = await look(request, await read_form(request, ClipBody), "match_labels", PredictionsResult)
    return answer(Predictions.of(call.plan.name, result.images, result.usage.prompt_tokens), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    return [
        Route("/v1/vision/classify", classify, methods=["POST"]),
        Route("/v1/vision/clip", clip, methods=["POST"]),
    ]
