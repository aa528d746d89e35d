"""Pictures and masks of a request, as the pipelines take them."""

from dataclasses import dataclass

from PIL import Image, ImageOps

from universal_core import BadRequest, EditImageRequest
from universal_core.pictures import open_image, read_image

# Where a pipeline draws the line between what stays and what is painted anew: half of 255.
_PAINTED = 128


@dataclass(frozen=True, slots=True)
class Inputs:
    """Pictures in RGB, and the mask of the first in L: 255 where it is to be painted anew."""

    images: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first picture."""
        return self.images[0].size

    def resized(self, size: tuple[int, int]) -> "Inputs":
        """Return them with this width and height; a mask keeps its hard edges."""
        images = tuple(_resized(image, size, Image.Resampling.LANCZOS) for image in self.images)
        mask = None if self.mask is None else _resized(self.mask, size, Image.Resampling.NEAREST)
        return Inputs(images, mask)


def read_inputs(request: EditImageRequest) -> Inputs:
    """Return the pictures of an edit and its mask: without one, that is what is transparent in the first picture.

    Raises BadRequest for what is no picture, by its place ``image[0]`` where several came, and for a mask of another
    size or with nothing to paint.
    """
    if not request.images:
        raise BadRequest("image: expected the picture to be edited, got none", param="image")
    names = ["image"] if len(request.images) == 1 else [f"image[{at}]" for at in range(len(request.images))]
    images = tuple(read_image(data, name) for data, name in zip(request.images, names, strict=True))
    mask = _own_mask(request.images[0]) if request.mask is None else _read_mask(request.mask, images[0].size)
    return Inputs(images, mask)


def read_original(data: bytes) -> Inputs:
    """Return the picture that others shall be like."""
    return Inputs((read_image(data, "image"),))


def _own_mask(data: bytes) -> Image.Image | None:
    image = open_image(data, "image")
    if not image.has_transparency_data:
        return None
    mask = _transparent(image)
    return mask if _paints(mask) else None


def _read_mask(data: bytes, size: tuple[int, int]) -> Image.Image:
    found = open_image(data, "mask")
    if found.size != size:
        raise BadRequest(
            f"mask: it has {found.width} x {found.height} pixels, and the image {size[0]} x {size[1]}; "
            "both must have the same size",
            param="mask",
        )
    mask = _transparent(found) if found.has_transparency_data else read_image(data, "mask").convert("L")
    if not _paints(mask):
        rule = "nothing in it is transparent" if found.has_transparency_data else "nothing in it is white"
        raise BadRequest(
            f"mask: {rule}, so that there is nothing to paint; make transparent what is to be painted anew, or send "
            "black and white without transparency, white where it is to be painted",
            param="mask",
        )
    return mask


def _transparent(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("RGBA").getchannel("A"))


def _paints(mask: Image.Image) -> bool:
    return bool(mask.point(lambda value: 255 if value >= _PAINTED else 0).getbbox())


def _resized(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling)
