"""Parts that every backend of conversations needs, free of machine-learning libraries."""

from universal_core.conversation.answer import Answer, Vocabulary
from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.engine import Engine, Row, Runner, Scheduler
from universal_core.conversation.job import Job, Sampler, Sequence, job_of
from universal_core.conversation.plain import PLAIN_STOPS, render_plain
from universal_core.conversation.sampling import Choice, Sampling
from universal_core.conversation.settings import context_asked, room_for, sampling_of
from universal_core.conversation.stops import StopMatcher

__all__ = [
    "PLAIN_STOPS",
    "Answer",
    "Choice",
    "Detokenizer",
    "Engine",
    "Job",
    "Row",
    "Runner",
    "Sampler",
    "Sampling",
    "Scheduler",
    "Sequence",
    "StopMatcher",
    "Vocabulary",
    "context_asked",
    "job_of",
    "render_plain",
    "room_for",
    "sampling_of",
]
