"""Parts that every backend of conversations needs, free of machine-learning libraries."""

from universal_core.conversation.answer import Answer
from universal_core.conversation.constraint import Constraint, Grammar
from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.dialect import Dialect, TaggedDialect
from universal_core.conversation.dialects import dialect_of
from universal_core.conversation.engine import Engine, Row, Runner, Scheduler
from universal_core.conversation.job import Job, Sampler, Sequence, job_of
from universal_core.conversation.language_model import LanguageModel
from universal_core.conversation.parsing import Call, Content, PlainTurn, Thought, TurnParser
from universal_core.conversation.plain import PLAIN_STOPS, render_plain
from universal_core.conversation.prompt import Prompter
from universal_core.conversation.sampling import Choice, Sampling
from universal_core.conversation.settings import context_asked, room_for, sampling_of
from universal_core.conversation.stops import StopMatcher
from universal_core.conversation.template import ChatTemplate, configured_template
from universal_core.conversation.vocabulary import Vocabulary

__all__ = [
    "PLAIN_STOPS",
    "Answer",
    "Call",
    "ChatTemplate",
    "Choice",
    "Constraint",
    "Content",
    "Detokenizer",
    "Dialect",
    "Engine",
    "Grammar",
    "Job",
    "LanguageModel",
    "PlainTurn",
    "Prompter",
    "Row",
    "Runner",
    "Sampler",
    "Sampling",
    "Scheduler",
    "Sequence",
    "StopMatcher",
    "TaggedDialect",
    "Thought",
    "TurnParser",
    "Vocabulary",
    "configured_template",
    "context_asked",
    "dialect_of",
    "job_of",
    "render_plain",
    "room_for",
    "sampling_of",
]
