"""The contract that every backend keeps, as tests that a plugin's author inherits.

    from universal_core.testing import BackendContract

    class TestMarkov(BackendContract):
        model = "markov/hello"

pytest runs each of the methods below on that model, in a real worker process.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec
import psutil
import pytest

from universal_core.config import ModelConfig
from universal_core.errors import UniversalError
from universal_core.messages import (
    AudioChunk,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbedRequest,
    EmbedResult,
    Finish,
    GenerationRequest,
    ImageRequest,
    ListenResult,
    ListVoicesRequest,
    Message,
    Request,
    RerankRequest,
    RerankResult,
    Result,
    Segment,
    SpeakRequest,
    Spoken,
    Text,
    TextPart,
    TokenizeRequest,
    TokenizeResult,
    Truncated,
    Usage,
)
from universal_core.testing.bench import Bench
from universal_core.testing.labelling import check_labelling, labelling_samples
from universal_core.testing.looking import check_looking, looking_samples, near
from universal_core.testing.painting import MANY_STEPS, check_pictures, image_samples, pictures_of, same_pictures
from universal_core.testing.talking import check_talk, talking_samples


def chat_request(text: str, max_tokens: int) -> ChatRequest:
    """Return a conversation of one user turn."""
    message = ChatMessage(role="user", content=(TextPart(text=text),))
    return ChatRequest(messages=(message,), max_tokens=max_tokens)


class BackendContract:
    """Checks claim, load, every claimed task, event order, cancelling, concurrency, errors and unloading.

    ``options`` are the backend's; ``samples`` maps each task that is not of the core to two different requests;
    ``backend`` picks one where several claim the model.
    """

    model: ClassVar[str]
    backend: ClassVar[str | None] = None
    options: ClassVar[dict[str, Any]] = {}
    samples: ClassVar[dict[str, tuple[Request, Request]]] = {}

    _bench: ClassVar[Bench | None] = None

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _close_bench(cls) -> Iterator[None]:
        yield
        if cls._bench is not None:
            cls._bench.close()
            cls._bench = None

    def bench(self) -> Bench:
        """Return the runtime that the tests of this class share, so that imports are paid for once."""
        cls = type(self)
        if cls._bench is None:
            cls._bench = Bench(self.model, ModelConfig(backend=self.backend, options=self.options))
        return cls._bench

    def requests(self, task: str) -> tuple[Request, Request]:
        """Return two different requests of a task."""
        core: dict[str, tuple[Request, Request]] = {
            "chat": (chat_request("hello there", 8), chat_request("something else entirely", 8)),
            "complete": (
                CompletionRequest(prompt="hello there", max_tokens=8),
                CompletionRequest(prompt="something else", max_tokens=8),
            ),
            "speak": (SpeakRequest(text="Hello there.", seed=1), SpeakRequest(text="Something else.", seed=1)),
            "list_voices": (ListVoicesRequest(), ListVoicesRequest()),
            "embed": (EmbedRequest(input=("hello", "there")), EmbedRequest(input=("something else",))),
            "rerank": (
                RerankRequest(query="hello", documents=("hello there", "something else", "")),
                RerankRequest(query="something", documents=("something else",)),
            ),
            "tokenize": (TokenizeRequest(text="hello there", pieces=True), TokenizeRequest(text="something else")),
            "detokenize": (DetokenizeRequest(tokens=(7, 8, 9)), DetokenizeRequest(tokens=(10,))),
        }
        fields = self.bench().plan.claim.fields
        core |= image_samples(fields) | looking_samples(fields) | labelling_samples(fields)
        found = {**core, **self.samples}.get(task)
        assert found is not None, f"give two requests of the task {task} in `samples`"
        return found

    def long_request(self, task: str) -> Request | None:
        """Return a request whose answer comes in many steps, None for a task that answers as a whole."""
        request = self.requests(task)[0]
        if isinstance(request, SpeakRequest):
            return msgspec.structs.replace(request, text="Hello there. " * 20)
        if isinstance(request, ImageRequest):
            return msgspec.structs.replace(request, num_inference_steps=MANY_STEPS)
        return msgspec.structs.replace(request, max_tokens=200) if isinstance(request, GenerationRequest) else None

    def test_the_claim_is_complete(self) -> None:
        """The model is found and claimed, by a registered backend, for a reason, for tasks that the backend has."""
        bench = self.bench()
        claim, backend = bench.plan.claim, bench.plan.backend
        assert claim.reason, "a claim says why"
        assert claim.tasks, "a claim lists at least one task"
        assert set(claim.tasks) <= set(backend.tasks), "a claim's tasks are among its backend's"
        assert claim.slots >= 1, "at least one job runs at once"
        assert claim.memory.total > 0, "a claim estimates the memory that the model takes"

    def test_every_claimed_task_answers(self) -> None:
        """Each task gives a result, or events in order: content, a Finish for each answer, at most one Usage."""
        bench = self.bench()
        for task in bench.plan.claim.tasks:
            request = self.requests(task)[0]
            messages = bench.run(task, request)
            assert messages, f"{task} gave nothing"
            if isinstance(messages[0], Result):
                assert len(messages) == 1, f"{task} gave a result and then more"
                check_result(request, messages[0])
                check_looking(request, messages[0])
                check_labelling(request, messages[0])
            if isinstance(request, GenerationRequest):
                check_order(messages, request)
            if isinstance(request, SpeakRequest):
                check_recording(messages)
            if isinstance(request, ImageRequest):
                check_pictures(messages, request)

    def test_jobs_at_once_do_not_mix(self) -> None:
        """What two requests get together is what each gets alone."""
        bench = self.bench()
        for task in bench.plan.claim.tasks:
            first, second = self.requests(task)
            alone = [content(bench.run(task, request)) for request in (first, second)]
            answers = bench.together(task, [first, second, first])
            for answer, expected in zip(answers, [*alone, alone[0]], strict=True):
                assert same(content(answer), expected), f"{task} mixed up its jobs"

    def test_a_cancelled_job_stops_within_one_step(self) -> None:
        """When its reader goes after the first event, a stream takes at most one step more, and the next job runs."""
        bench = self.bench()
        for task in bench.plan.claim.tasks:
            request = self.long_request(task)
            if request is None:
                continue
            late = bench.cancel(task, request)
            assert late <= 1, f"{task} took {late} steps after it was cancelled"
            assert bench.run(task, self.requests(task)[1])

    def test_a_conversation_has_what_the_claim_promises(self) -> None:
        """Calls come in valid pieces, only of tools that may be called; answers have the form that is asked for."""
        bench = self.bench()
        if "chat" not in bench.plan.claim.tasks:
            return
        for request in talking_samples(bench.plan.claim.fields):
            messages = bench.run("chat", request)
            check_order(messages, request)
            check_talk(messages, request)

    def test_a_bad_request_is_an_error_with_a_status(self) -> None:
        """A request that the model cannot answer is a UniversalError, and harms nothing."""
        bench = self.bench()
        task = bench.plan.claim.tasks[0]
        try:
            bench.run("no_such_task", self.requests(task)[0])
        except UniversalError as error:
            assert 400 <= error.status < 600
            assert error.message
        else:
            raise AssertionError("a task that does not exist was answered")
        assert bench.run(task, self.requests(task)[0])

    def test_unloading_ends_the_process(self) -> None:
        """After unloading, the worker process is gone and its memory with it; the next request loads it again."""
        bench = self.bench()
        task = bench.plan.claim.tasks[0]
        bench.run(task, self.requests(task)[0])
        worker = bench.entry().worker
        assert worker is not None
        assert bench.unload() == 1
        assert not psutil.pid_exists(worker.pid), "the worker still runs"
        assert bench.run(task, self.requests(task)[0])


def content(messages: list[Message]) -> object:
    """Return what an answer says, however it was cut into events."""
    if isinstance(messages[0], ListenResult):
        return [segment.text for segment in messages[0].segments], messages[0].consumed
    if isinstance(messages[0], Result):
        return messages[0]
    if pictures := pictures_of(messages):
        return pictures
    sound = b"".join(message.data for message in messages if isinstance(message, AudioChunk))
    return sound or "".join(message.text for message in messages if isinstance(message, Text | Segment))


def same(one: object, other: object) -> bool:
    """Whether two answers say the same; numbers may differ a little, since a batch adds up in another order."""
    if isinstance(one, list) and isinstance(other, list):
        return same_pictures(one, other)
    first, second = numbers(one), numbers(other)
    if first is None or second is None:
        return near(one, other)
    scale = max(map(abs, first), default=0.0)
    return len(first) == len(second) and all(abs(a - b) <= 0.02 * scale for a, b in zip(first, second, strict=True))


def numbers(answer: object) -> Sequence[float] | None:
    """Return what an answer computed, None where it is not made of numbers."""
    if isinstance(answer, EmbedResult):
        return array("f", answer.vectors)
    return answer.scores if isinstance(answer, RerankResult) else None


def check_order(messages: list[Message], request: GenerationRequest) -> None:
    """Assert that events come in order: what was left out, text, a Finish an answer, at most one Usage, no more."""
    finished: set[int] = set()
    usages = 0
    assert not any(isinstance(message, Truncated) for message in messages[1:]), "what was left out is told first"
    for message in messages:
        index = getattr(message, "index", None)
        if isinstance(message, Finish):
            assert message.index not in finished, f"answer {message.index} finished twice"
            finished.add(message.index)
        elif isinstance(message, Usage):
            usages += 1
        else:
            assert index not in finished, f"{message!r} came after answer {index} had finished"
    assert finished == set(range(request.n)), f"answers {sorted(finished)} of {request.n} finished"
    assert usages <= 1, "usage is told once"


def check_recording(messages: list[Message]) -> None:
    """Assert that a recording is chunks of one rate, at most one Usage, and then a Spoken with its length."""
    chunks = [message for message in messages if isinstance(message, AudioChunk)]
    assert isinstance(messages[-1], Spoken), "a recording ends with Spoken"
    assert len({chunk.sample_rate for chunk in chunks}) == 1, "a recording has one sample rate"
    seconds = sum(len(chunk.data) for chunk in chunks) / 2 / chunks[0].sample_rate
    assert abs(seconds - messages[-1].seconds) < 0.01, f"Spoken tells of {messages[-1].seconds} s, there are {seconds}"


def check_result(request: Request, result: Message) -> None:
    """Assert that a result fits its request."""
    if isinstance(request, EmbedRequest) and isinstance(result, EmbedResult):
        expected = len(request.input) * result.dimensions * 4
        assert len(result.vectors) == expected, "there is one vector for each input"
    if isinstance(request, RerankRequest) and isinstance(result, RerankResult):
        assert len(result.scores) == len(request.documents), "there is one score for each document"
    if isinstance(request, TokenizeRequest) and isinstance(result, TokenizeResult):
        assert result.tokens, "a text has tokens"
        expected = len(result.tokens) if request.pieces else 0
        assert len(result.pieces) == expected, "there is one piece for each token where they are asked for"
