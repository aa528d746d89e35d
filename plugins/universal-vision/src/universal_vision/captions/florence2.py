"""Florence-2: one model for many tasks, each named by a mark such as ``<OD>`` that is put in front."""

import re
from typing import Any

from PIL import Image

from universal_core import BadRequest
from universal_vision.captions.writer import Prepared, Writer, check_read, check_room, positions_of
from universal_vision.loading import Loaded

_MARK = re.compile(r"<[A-Z_]+>")
_DEFAULT = "<CAPTION>"
_BEAMS = 3
_MARKS_OF_TEXT = re.compile(r"<s>|</s>|<pad>")


class Florence2(Writer):
    """Writes what a task asks for, and places as ``<loc_…>`` tokens, which are pixels when they are parsed."""

    def __init__(self, loaded: Loaded, processor: Any, num_beams: int | None) -> None:
        """Three wordings are weighed against each other unless something else is asked for, as in its examples."""
        super().__init__(loaded, processor, num_beams or _BEAMS)
        # A kind of answer that the model's files have no settings for is read with the library's own.
        for kind in processor.tasks_answer_post_processing_type.values():
            processor.post_processor.parse_task_config.setdefault(kind, {})

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for a task, ``<CAPTION>`` if none is named; raises BadRequest for one it does not know."""
        text = (prompt or _DEFAULT).strip()
        return self._prepared(image, text, max_length, "prompt", self._task_of(text))

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer: the question as it is, in the place of a task."""
        self._check_words(question, "question")
        return self._prepared(image, question, max_length, "question", None)

    def text_of(self, prepared: Prepared, tokens: list[int]) -> str:
        """Return tokens as text, places included: they say where things are."""
        text = self.processor.decode(tokens, skip_special_tokens=False)
        return _MARKS_OF_TEXT.sub("", text).strip()

    def parse(self, prepared: Prepared, text: str) -> Any:
        """Return what the library reads out of a task's text, in pixels of the picture; None without a task."""
        if prepared.task is None:
            return None
        return self.processor.post_process_generation(text, task=prepared.task, image_size=prepared.size)

    def _prepared(self, image: Image.Image, text: str, max_length: int, param: str, task: str | None) -> Prepared:
        inputs = self.read(image, text, param)
        read = inputs["input_ids"].shape[1]
        positions = positions_of(self.model.config.text_config)
        check_read(read, positions, param)
        check_room(1, max_length, positions)
        return Prepared(inputs=inputs, max_length=max_length, read=read, task=task, size=image.size)

    def _task_of(self, text: str) -> str | None:
        """Return the mark that a prompt begins with, None for a wish in words. Raises BadRequest."""
        found = _MARK.match(text)
        if found is None:
            self._check_words(text, "prompt")
            return None
        task, rest = found.group(), text[found.end() :].strip()
        alone, with_text = self.processor.task_prompts_without_inputs, self.processor.task_prompts_with_input
        if task not in alone and task not in with_text:
            raise BadRequest(f"prompt: {task} is no task of this model; {self._tasks()}", param="prompt")
        if task in alone and rest:
            raise BadRequest(f"prompt: {task} stands alone, but {rest!r} follows; {self._tasks()}", param="prompt")
        if task in with_text and not rest:
            raise BadRequest(f"prompt: {task} needs a text behind it; {self._tasks()}", param="prompt")
        self._check_words(rest, "prompt")
        return task

    def _check_words(self, text: str, param: str) -> None:
        """Refuse a mark of a task in the midst of words, which the library would take for the task."""
        known = (*self.processor.task_prompts_without_inputs, *self.processor.task_prompts_with_input)
        if inside := next((mark for mark in known if mark in text), None):
            raise BadRequest(f"{param}: {inside} must stand at the beginning of a prompt; {self._tasks()}", param=param)

    def _tasks(self) -> str:
        alone = ", ".join(self.processor.task_prompts_without_inputs)
        with_text = ", ".join(self.processor.task_prompts_with_input)
        return f"tasks that stand alone: {alone}; tasks with a text behind them: {with_text}"
