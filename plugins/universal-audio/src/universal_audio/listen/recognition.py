"""Speech recognition through transformers: any model that its pipeline for it loads."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from transformers import (
    AutoFeatureExtractor,
    AutoModelForCTC,
    AutoModelForSpeechSeq2Seq,
    AutoTokenizer,
    WhisperForConditionalGeneration,
)
from transformers import AutomaticSpeechRecognitionPipeline as RecognitionPipeline

from universal_audio.listen.options import RecognitionOptions
from universal_audio.listen.recording import RATE, Samples, read_recording
from universal_audio.listen.windows import SECONDS, Window, cut, quiet_spans
from universal_core import BadRequest, Event, Heard, LoadFailed, ModelInfo, Segment, TranscribeRequest, Usage, Word
from universal_core.pytorch import pick_device, taken_memory, use_threads

Task = Literal["transcribe", "translate"]
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_VECTORS_PER_SECOND = 50


class Recognition:
    """Transcribes recordings one at a time, each in windows that are cut where it is quiet."""

    def __init__(self, info: ModelInfo, options: RecognitionOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        if info.path is None:
            raise LoadFailed(f"{info.id} is not on this machine.")
        use_threads(options.threads)
        self._options = options
        self._pipeline: Any = load_pipeline(info, options)
        self._model: Any = self._pipeline.model
        self._is_whisper = isinstance(self._model, WhisperForConditionalGeneration)
        self._rate = int(self._pipeline.feature_extractor.sampling_rate)
        if self._rate != RATE:
            raise LoadFailed(f"{info.id} hears {self._rate} samples a second; only models for {RATE} are run.")

    def device_memory(self) -> int:
        """Return the bytes that the model has on a GPU."""
        return taken_memory(self._model.device)

    def transcribe(self, request: TranscribeRequest) -> Iterator[Event]:
        """Write down what is said, in its language."""
        return self._write(request, "transcribe")

    def translate(self, request: TranscribeRequest) -> Iterator[Event]:
        """Write down in English what is said."""
        return self._write(request, "translate")

    def _write(self, request: TranscribeRequest, task: Task) -> Iterator[Event]:
        pieces = read_recording(request.audio, longest=self._options.longest)
        block = SECONDS * self._options.batch_size
        seconds, tokens, language = 0.0, 0, request.language
        for windows in cut(pieces, quiet_spans, block=block, speech_only=False):
            if self._is_whisper and language is None:
                language = self._detect(windows[0].samples)
            for window, found in zip(windows, self._hear(windows, request, task, language), strict=True):
                seconds = window.start + window.duration
                for segment in segments_of(found, window, words=request.words):
                    tokens += len(self._pipeline.tokenizer(segment.text, add_special_tokens=False).input_ids)
                    yield segment
        yield Heard(duration=seconds, language=language)
        yield Usage(prompt_tokens=math.ceil(seconds * _VECTORS_PER_SECOND), completion_tokens=tokens)

    def _hear(
        self, windows: list[Window], request: TranscribeRequest, task: Task, language: str | None
    ) -> list[dict[str, Any]]:
        """Return what the pipeline makes of each window: ``text``, and ``chunks`` with times where it has any."""
        inputs = [{"raw": window.samples, "sampling_rate": RATE} for window in windows]
        options: dict[str, Any] = {"batch_size": self._options.batch_size}
        if self._is_whisper:
            options["return_timestamps"] = "word" if request.words else True
            options["generate_kwargs"] = self._generation(request, task, language)
        elif request.words:
            options["return_timestamps"] = "word"
        use_threads(self._options.threads)
        try:
            with torch.inference_mode():
                return list(self._pipeline(inputs, **options))
        except ValueError as error:
            # The pipeline's own words about what a model cannot do: no word timestamps, no such language.
            raise BadRequest(f"the model refuses the request: {error}", param=_field_in(str(error))) from None

    def _generation(self, request: TranscribeRequest, task: Task, language: str | None) -> dict[str, Any]:
        config = self._model.generation_config
        options: dict[str, Any] = {}
        if getattr(config, "is_multilingual", False):
            options |= {"task": task, "language": self._known(language)}
        elif task == "translate" or request.language not in (None, "en"):
            raise BadRequest(
                "language: this model knows English alone, so it neither hears nor translates another language",
                param="language",
            )
        if request.temperature:
            options |= {"temperature": request.temperature, "do_sample": True}
        if request.prompt:
            ids = self._pipeline.tokenizer.get_prompt_ids(request.prompt, return_tensors="pt")
            options["prompt_ids"] = ids.to(self._model.device)
        return options

    def _known(self, language: str | None) -> str | None:
        known = sorted(name.strip("<|>") for name in self._model.generation_config.lang_to_id)
        if language is not None and language not in known:
            raise BadRequest(
                f"language: this model does not know {language!r}; it knows {', '.join(known)}", param="language"
            )
        return language

    @torch.inference_mode()
    def _detect(self, samples: Samples) -> str | None:
        """Return the language of some samples, as a code."""
        if not getattr(self._model.generation_config, "is_multilingual", False):
            return "en"
        features = self._pipeline.feature_extractor(samples, sampling_rate=RATE, return_tensors="pt").input_features
        token = self._model.detect_language(features.to(self._model.device, self._model.dtype))
        return str(self._pipeline.tokenizer.decode(token[0])).strip("<|>")


def load_pipeline(info: ModelInfo, options: RecognitionOptions) -> Any:
    """Return transformers' pipeline for a model. Raises LoadFailed."""
    device = pick_device(options.device)
    auto: Any = AutoFeatureExtractor
    path = info.path or ""
    dtype = _DTYPES.get(options.dtype, torch.float16 if device.type == "cuda" else torch.float32)
    kind = AutoModelForCTC if any(name.endswith("ForCTC") for name in info.architectures) else AutoModelForSpeechSeq2Seq
    try:
        model = kind.from_pretrained(path, dtype=dtype, local_files_only=True, use_safetensors=True)
        tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        # Without one the pipeline takes no batch.
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        return RecognitionPipeline(
            model=model.to(device).eval(),
            feature_extractor=auto.from_pretrained(path, local_files_only=True),
            tokenizer=tokenizer,
            device=device,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise LoadFailed(f"{info.id} could not be loaded by transformers: {error}") from None


def segments_of(found: dict[str, Any], window: Window, *, words: bool) -> Iterator[Segment]:
    """Yield what the pipeline found in a window, with times from the start of the recording."""
    chunks = found.get("chunks") or []
    if words:
        text = str(found["text"])
        if text.strip():
            yield _segment(text, (0.0, window.duration), window, tuple(_word(chunk, window) for chunk in chunks))
        return
    for chunk in chunks or [{"text": found["text"], "timestamp": (0.0, None)}]:
        if str(chunk["text"]).strip():
            yield _segment(str(chunk["text"]), chunk["timestamp"], window)


def _segment(
    text: str, times: tuple[float | None, float | None], window: Window, words: tuple[Word, ...] = ()
) -> Segment:
    start, end = _times(times, window)
    # The window before ended with a word of its own.
    spaced = text if text.startswith(" ") else f" {text}"
    return Segment(start=start, end=end, text=spaced, words=words, seek=round(window.start * 100))


def _word(chunk: dict[str, Any], window: Window) -> Word:
    start, end = _times(chunk["timestamp"], window)
    return Word(word=str(chunk["text"]), start=start, end=end)


def _times(times: tuple[float | None, float | None], window: Window) -> tuple[float, float]:
    """Return when something is said in the recording; what the model left open lasts to the window's end."""
    start = min(float(times[0] or 0.0), window.duration)
    end = window.duration if times[1] is None else min(max(float(times[1]), start), window.duration)
    return round(window.start + start, 3), round(window.start + end, 3)


def _field_in(words: str) -> str | None:
    return "timestamp_granularities" if "timestamp" in words else None
