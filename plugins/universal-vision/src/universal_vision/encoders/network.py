"""Opening a model: what it is made of, by its kind."""

from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForZeroShotImageClassification

from universal_core import LoadFailed, ModelInfo
from universal_vision.encoders.kinds import kind_of
from universal_vision.encoders.labels import Labels
from universal_vision.encoders.matching import Matcher
from universal_vision.encoders.options import EncoderOptions
from universal_vision.encoders.pictures import PictureReader
from universal_vision.encoders.pooling import POOLER, Embedder, pooler_is_trained
from universal_vision.encoders.running import Forward, Runner, Work
from universal_vision.encoders.words import WordReader
from universal_vision.loading import Inputs, load_image_processor, load_model, load_tokenizer

_BLANK = Image.new("RGB", (64, 64))


class Classifier:
    """A model with labels of its own."""

    def __init__(self, model: Any) -> None:
        """Take a model of AutoModelForImageClassification."""
        self._model = model
        self.labels = Labels(model.config)

    def logits(self, inputs: Inputs) -> Tensor:
        """Return a number for each label of each picture, ``[pictures, labels]``."""
        found: Tensor = self._model(**inputs).logits
        return found


class Network(NamedTuple):
    """A model and what it can do: ``embed`` makes vectors of pictures, the rest is there where the model has it."""

    run: Runner
    pictures: PictureReader
    embed: Forward
    classifier: Classifier | None = None
    matcher: Matcher | None = None
    words: WordReader | None = None


def open_network(info: ModelInfo, options: EncoderOptions) -> Network:
    """Load the model in ``info.path``; raises LoadFailed."""
    kind = (kind_of(info) or ("extractor",))[0]
    if kind == "matcher":
        return _open_matcher(info, options)
    return _open_classifier(info, options) if kind == "classifier" else _open_extractor(info, options)


def _open_matcher(info: ModelInfo, options: EncoderOptions) -> Network:
    if options.pooling:
        raise LoadFailed(f"pooling is for models of pictures alone, which {info.id} is not; leave it out")
    loaded = load_model(info, AutoModelForZeroShotImageClassification, options)
    config = loaded.model.config
    matcher = Matcher(loaded.model)
    words = WordReader(load_tokenizer(info, options), config, matcher.texts)
    pictures = PictureReader(load_image_processor(info, options), config)
    return Network(Runner(loaded), pictures, matcher.pictures, matcher=matcher, words=words)


def _open_classifier(info: ModelInfo, options: EncoderOptions) -> Network:
    loaded = load_model(info, AutoModelForImageClassification, options)
    embed = Embedder(loaded.model.base_model, options.pooling, has_pooler=True)
    pictures = PictureReader(load_image_processor(info, options), loaded.model.config)
    return _checked(Network(Runner(loaded), pictures, embed, Classifier(loaded.model)), options)


def _open_extractor(info: ModelInfo, options: EncoderOptions) -> Network:
    loaded = load_model(info, AutoModel, options, may_lack={POOLER})
    embed = Embedder(loaded.model, options.pooling, has_pooler=pooler_is_trained(loaded.model, info))
    pictures = PictureReader(load_image_processor(info, options), loaded.model.config)
    return _checked(Network(Runner(loaded), pictures, embed), options)


def _checked(network: Network, options: EncoderOptions) -> Network:
    """Raise LoadFailed for a pooling that the model does not have, as a picture shows."""
    if options.pooling:
        network.run([Work(network.embed, network.pictures.prepare(_BLANK), 0)])
    return network
