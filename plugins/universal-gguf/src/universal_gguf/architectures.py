"""Which GGUF architectures are models of text, and of what kind; the names are those of llama.cpp and its relatives."""

ENCODERS = frozenset(
    {
        *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3"),
        *("eurobert", "gemma-embedding", "llama-embed", "t5encoder"),
    }
)
"""Models that read a text as a whole; what they give is vectors."""

DIFFUSION_LANGUAGE_MODELS = frozenset({"dream", "llada", "llada-moe", "rnd1", "diffusion-gemma"})
"""Models that write all of a text at once in many rounds, which is nothing that one token after another could run."""

OTHERS = frozenset(
    {
        # Parts of models, encoder-decoders, speech
        *("clip", "t5", "eagle3", "dflash", "gemma4-assistant", "wavtokenizer-dec", "qwen3tts", "pockettts", "whisper"),
        # Images and video (ComfyUI-GGUF, stable-diffusion.cpp)
        *("flux", "sd1", "sdxl", "sd3", "aura", "hidream", "cosmos", "ltxv", "hyvid", "wan", "lumina2", "qwen_image"),
        *("pig", "chroma", "z_image", "omnigen2", "kandinsky5", "mochi"),
    }
)

EMBEDDING_TAGS = frozenset({"feature-extraction", "sentence-similarity"})
RANKING_TAGS = frozenset({"text-ranking"})
FOREIGN_TAGS = frozenset(
    {
        *("text-to-image", "image-to-image", "text-to-video", "image-to-video", "video-to-video", "text-to-speech"),
        *("text-to-audio", "audio-to-audio", "automatic-speech-recognition", "unconditional-image-generation"),
        *("image-to-3d", "text-to-3d"),
    }
)
"""Kinds of models on the hub whose GGUF files are not ours to run."""


def kind_of(architecture: str, pooling: str | None) -> str | None:
    """Return what a model of text is for: ``generate``, ``embed`` or ``rank``; None for one that cannot be run here."""
    if architecture in OTHERS or architecture in DIFFUSION_LANGUAGE_MODELS:
        return None
    if pooling == "rank":
        return "rank"
    return "embed" if architecture in ENCODERS or pooling in ("mean", "cls", "last") else "generate"


def kind_by_tag(tag: str | None) -> str | None:
    """Return what a model is for by the hub's tag; what has none, or an unknown one, writes text."""
    if tag in FOREIGN_TAGS:
        return None
    return "rank" if tag in RANKING_TAGS else "embed" if tag in EMBEDDING_TAGS else "generate"
