"""What the contract says about pictures: samples of requests, the order of events, when two answers are the same."""

from collections.abc import Sequence

from universal_core.messages import (
    EditImageRequest,
    GenerateImageRequest,
    ImageRequest,
    Message,
    Notice,
    Picture,
    Preview,
    Request,
    Step,
    Usage,
    VaryImageRequest,
)
from universal_core.testing.png import make_png

FILE = make_png(64, 64, b"\xc0\x30\x10")
MASK = make_png(64, 64, b"\xff\xff\xff")
MANY_STEPS = 200
TOLERANCE = 2
"""How far a colour may be off, of 255, where a request ran together with others: a batch adds up in another order."""


def image_samples(fields: Sequence[str]) -> dict[str, tuple[Request, Request]]:
    """Return two requests of each task of pictures; a mask is among them for models that honour one."""
    mask = MASK if "mask" in fields else None
    return {
        "generate_image": (
            GenerateImageRequest(prompt="hello there", seed=1, num_inference_steps=2),
            GenerateImageRequest(prompt="something else", seed=2, num_inference_steps=3, n=2, previews=1),
        ),
        "edit_image": (
            EditImageRequest(prompt="hello there", images=(FILE,), mask=mask, seed=1, num_inference_steps=2),
            EditImageRequest(prompt="something else", images=(FILE,), mask=mask, seed=2, num_inference_steps=3),
        ),
        "vary_image": (
            VaryImageRequest(image=FILE, seed=1, num_inference_steps=2),
            VaryImageRequest(image=FILE, seed=2, num_inference_steps=3, strength=0.5),
        ),
    }


def check_pictures(messages: Sequence[Message], request: ImageRequest) -> None:
    """Assert that steps never go back, each picture comes once, after its previews, and a Usage only at the end."""
    done, previews, pictures = 0, set[tuple[int, int]](), dict[int, Picture]()
    for place, message in enumerate(messages):
        if isinstance(message, Step):
            assert done <= message.done <= message.total, f"{message!r} came after step {done}"
            done = message.done
        elif isinstance(message, Preview):
            assert message.index not in pictures, f"a preview of picture {message.index} came after it"
            assert (message.index, message.number) not in previews, "a preview is told once"
            assert message.number < request.previews, "there are no more previews than were asked for"
            previews.add((message.index, message.number))
        elif isinstance(message, Picture):
            assert message.index not in pictures, f"picture {message.index} came twice"
            pictures[message.index] = message
        elif not isinstance(message, Notice):
            assert isinstance(message, Usage) and place == len(messages) - 1, f"{message!r} is none of a picture's"
    assert done > 0, "a request for pictures tells of its steps"
    assert set(pictures) == set(range(request.n)), f"pictures {sorted(pictures)} of {request.n} came"
    for index, picture in pictures.items():
        assert picture.seed == (request.seed or 0) + index, "each picture has the seed that follows"
        assert picture.format == request.format, "pictures have the format that was asked for"


def pictures_of(messages: Sequence[Message]) -> list[bytes]:
    """Return the files of the pictures in their order."""
    found = [message for message in messages if isinstance(message, Picture)]
    return [picture.data for picture in sorted(found, key=lambda picture: picture.index)]


def same_pictures(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    """Whether pictures are the same, but for what rounding does to their colours."""
    return len(one) == len(other) and all(map(same_picture, one, other))


def same_picture(one: bytes, other: bytes) -> bool:
    """Whether two files show the same; only where they differ at all are they decoded, which needs Pillow."""
    if one == other:
        return True
    # Here, because it needs libraries that most plugins do without.
    from universal_core.pictures import read_picture

    first, second = (read_picture(data, "image").astype("int16") for data in (one, other))
    return first.shape == second.shape and int(abs(first - second).max()) <= TOLERANCE
