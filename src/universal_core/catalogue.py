"""What the project's own plugins are for, so that a refusal can name the one to install."""

import msgspec

from universal_core.models import ModelInfo


class KnownPlugin(msgspec.Struct, frozen=True):
    """A plugin of the project: its extra, the tasks it serves, and what its models look like.

    ``settings`` are keys of config.json. ``optional`` are those of its tasks whose libraries can be missing where it is
    installed.
    """

    extra: str
    tasks: tuple[str, ...]
    files: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """The name under which it is published."""
        return f"universal-{self.extra}"

    @property
    def command(self) -> str:
        """The line that installs it."""
        return f'pip install "universal-core[{self.extra}]"'


KNOWN_PLUGINS = (
    KnownPlugin("gguf", ("chat", "complete", "embed", "rerank", "tokenize", "detokenize"), files=("*.gguf",)),
    KnownPlugin("diffusion", ("generate_image", "edit_image", "vary_image"), files=("model_index.json",)),
    KnownPlugin(
        "audio",
        ("transcribe", "translate", "listen", "speak", "list_voices"),
        files=("*vocabulary.json", "kokoro*.pth"),
        architectures=("Whisper", "Wav2Vec2", "ForCTC", "SpeechSeq2Seq", "Vits", "SpeechT5", "Bark"),
        optional=("transcribe", "translate", "listen", "speak", "list_voices"),
    ),
    KnownPlugin(
        "vision",
        (
            *("classify_image", "match_labels", "embed_image", "detect", "segment", "estimate_depth"),
            *("caption", "answer_question", "chat"),
        ),
        architectures=(
            *("ForImageClassification", "CLIP", "Siglip", "Dinov2", "ViT", "Blip", "Llava", "Florence"),
            *("ForObjectDetection", "ForDepthEstimation", "Segmentation", "VLForConditionalGeneration", "VLMoe"),
            *("GitFor", "Vilt", "Pix2Struct", "VisionEncoderDecoder"),
        ),
        settings=("vision_config", "num_channels", "pretrained_cfg"),
    ),
    KnownPlugin(
        "text",
        ("chat", "complete", "embed", "rerank", "classify", "classify_tokens", "tokenize", "detokenize"),
        files=("modules.json",),
        architectures=(
            *("ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"),
            "Model",
        ),
    ),
)


def plugin_for_model(info: ModelInfo) -> KnownPlugin | None:
    """Return the plugin whose kind of model this looks like, or None."""
    for plugin in KNOWN_PLUGINS:
        if plugin.files and info.matching(*plugin.files):
            return plugin
        if any(part in name for part in plugin.architectures for name in info.architectures):
            return plugin
        if any(name in info.config for name in plugin.settings):
            return plugin
    return None


def plugin_for_task(task: str) -> KnownPlugin | None:
    """Return the first plugin that serves a task, text before its alternatives, or None."""
    found = [plugin for plugin in KNOWN_PLUGINS if task in plugin.tasks]
    return max(found, key=lambda plugin: plugin.extra == "text") if found else None
