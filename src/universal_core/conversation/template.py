"""A model's own chat template: from a conversation to the text that the model was trained to continue."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables

from universal_core.conversation.sandbox import chat_environment
from universal_core.conversation.turns import by_system, tool_of, turns_of, with_one_system
from universal_core.errors import BadRequest, LoadFailed
from universal_core.messages import ChatMessage, Role, TextPart, Tool

RESERVED = frozenset(
    {
        *("self", "messages", "conversation", "tools", "chat_template", "tokenize", "tokenizer_kwargs", "padding"),
        *("truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
        "sanitize_control_tokens",
    }
)
"""What ``arguments`` may not set: it is decided here, or means something other than a template's variable elsewhere."""

# Whatever a template can raise by what it does: it is a program, and the sandbox leaves it Python's operators.
_REFUSALS = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
_REASONING = ("reasoning_content", "thinking")
_MARK = "END-OF-WHAT-IS-CONTINUED "
_PROBE = "a probe of what content may be"


class ChatTemplate:
    """Renders conversations as ``apply_chat_template`` of transformers does, without transformers.

    ``source`` is a template, or several by name: ``tool_use`` is for requests with tools, ``default`` for the others.
    ``tokens`` are the special tokens by the names that templates have for them: bos_token, eos_token, ...
    Raises LoadFailed for a template that does not compile.
    """

    def __init__(self, source: str | Mapping[str, str], *, tokens: Mapping[str, str] = {}) -> None:
        named = {"default": source} if isinstance(source, str) else dict(source)
        if "default" not in named:
            raise LoadFailed(
                f"the model's chat templates are named {', '.join(sorted(named)) or 'nothing'}; "
                "one must be named default"
            )
        self._templates = {name: _Compiled(named[name], tokens) for name in ("default", "tool_use") if name in named}
        self.source = "\n".join(named[name] for name in self._templates)
        """The text of the templates in use: how a model writes calls and thoughts stands there."""
        self.variables = variables_of(self.source)
        """The names that the templates read and do not set, such as ``enable_thinking``."""

    def render(
        self, messages: Sequence[ChatMessage], *, tools: Sequence[Tool] = (), arguments: Mapping[str, Any] = {}
    ) -> str:
        """Return the conversation as text that ends where the answer begins.

        ``arguments`` are further variables of the template (chat_template_kwargs). Two of them mean something here:
        ``add_generation_prompt``, true by default, opens the assistant's turn; ``continue_final_message``, true or the
        name of a field of the last turn, leaves that turn open instead. Raises BadRequest for arguments that may not
        be set, and for a conversation that the template refuses, with its words.
        """
        check_arguments(arguments)
        template = self._templates.get("tool_use" if tools else "default") or self._templates["default"]
        try:
            return template.render(messages, [tool_of(tool) for tool in tools] or None, arguments)
        except _REFUSALS as error:
            words = str(error) or type(error).__name__
            raise BadRequest(f"the model's chat template refuses these messages: {words}", param="messages") from error


def configured_template(option: str | None) -> str | None:
    """Return a template that an option gives as text or as the path of a file. Raises LoadFailed for anything else."""
    if option is None or "{" in option:
        return option
    path = Path(option).expanduser()
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LoadFailed(f"chat_template {option!r} is neither a template nor a readable file: {reason}") from None


def variables_of(source: str) -> frozenset[str]:
    """Return the names that a template reads and does not set."""
    return frozenset(find_undeclared_variables(chat_environment().parse(source)))


class _Compiled:
    """One template, ready to run."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        self._source = source
        self._tokens = tokens
        try:
            self._template: Template = chat_environment().from_string(source)
        except (TemplateError, SyntaxError, ValueError, RecursionError) as error:
            raise LoadFailed(f"the model's chat template is not valid: {error}") from error
        self._as_parts = self._wants_parts()
        # One that writes any role as it comes has not made the model know developers.
        self._knows_developers = "developer" in source and self._shows("developer", "user")
        guides: tuple[Role, ...] = ("system", "developer") if self._knows_developers else ("system",)
        self._takes_several = all(self._shows("system", guide, "user") for guide in guides)

    def render(
        self, messages: Sequence[ChatMessage], tools: list[dict[str, Any]] | None, arguments: Mapping[str, Any]
    ) -> str:
        """Return the text; raises what the template raises, and ValueError for a last turn that cannot be continued."""
        messages = messages if self._knows_developers else by_system(messages)
        messages = messages if self._takes_several else with_one_system(messages)
        try:
            return self._write(turns_of(messages, as_parts=self._as_parts), tools, arguments)
        except (TypeError, UndefinedError):
            # Most templates take the arguments of calls as objects, and some only the text that OpenAI's API has.
            if not any(message.tool_calls for message in messages):
                raise
            return self._write(turns_of(messages, as_parts=self._as_parts, literal=True), tools, arguments)

    def _write(
        self, turns: list[dict[str, Any]], tools: list[dict[str, Any]] | None, arguments: Mapping[str, Any]
    ) -> str:
        arguments = dict(arguments)
        field = arguments.pop("continue_final_message", False)
        variables = {"tools": tools, "documents": None, "add_generation_prompt": not field, **self._tokens, **arguments}
        if not field:
            return self._template.render(messages=turns, **variables)
        opened = Opened(turns, "content" if field is True else field, self._source)
        return opened.cut(self._template.render(messages=opened.turns, **variables))

    def _wants_parts(self) -> bool:
        """Whether content must be a list of parts: templates of models that see often know no other form."""
        self._as_parts = False
        if self._shows("user"):
            return False
        self._as_parts = True
        return self._shows("user")

    def _shows(self, *roles: Role) -> bool:
        """Whether the template writes the words of turns with these roles."""
        texts = [f"{_PROBE} {place}" for place in range(len(roles))]
        probes = [
            ChatMessage(role=role, content=(TextPart(text=text),)) for role, text in zip(roles, texts, strict=True)
        ]
        try:
            written = self._write(turns_of(probes, as_parts=self._as_parts), None, {})
        except _REFUSALS:
            return False
        return all(text in written for text in texts)


class Opened:
    """A conversation whose last turn is to go on: a mark at its end shows where the rendered text must be cut.

    Raises ValueError where that turn has no text in ``field``.
    """

    def __init__(self, turns: list[dict[str, Any]], field: str, source: str) -> None:
        last = dict(turns[-1]) if turns else {}
        self._text = _text_at_end(last.get(field))
        if self._text is None:
            raise ValueError(f"continue_final_message: the last message has no text in {field} to continue")
        fields = [name for name in _REASONING if name in last] if field in _REASONING else [field]
        if not any(name in source for name in fields):
            raise ValueError(f"continue_final_message: the template does not show {field}")
        for name in fields:
            last[name] = _marked(last[name])
        self.turns = [*turns[:-1], last]

    def cut(self, text: str) -> str:
        """Return the text up to the mark; raises ValueError where the template left something of the turn out."""
        place = text.rfind(_MARK.strip())
        if place < 0 or (self._text or "").strip() not in text[:place]:
            raise ValueError("continue_final_message: the template does not show the whole of the last message")
        # The space at the mark's end tells whether the template keeps the space at a turn's end.
        return text[:place] if text.startswith(_MARK, place) else text[:place].rstrip()


def _text_at_end(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    texts = [part["text"] for part in content or () if "text" in part]
    return texts[-1] if texts else None


def _marked(content: str | list[dict[str, str]]) -> str | list[dict[str, str]]:
    if isinstance(content, str):
        return content + _MARK
    last = max(place for place, part in enumerate(content) if "text" in part)
    return [{**part, "text": part["text"] + _MARK} if place == last else part for place, part in enumerate(content)]


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise BadRequest for variables of a template (chat_template_kwargs) that a request may not set."""

    def refuse(words: str) -> None:
        raise BadRequest(f"chat_template_kwargs{words}", param="chat_template_kwargs")

    if taken := sorted(RESERVED & arguments.keys()):
        refuse(f" may not set {', '.join(taken)}")
    field = arguments.get("continue_final_message", False)
    if not isinstance(field, bool | str):
        refuse(".continue_final_message: expected true, false or the name of a field of the last message")
    if field and arguments.get("add_generation_prompt"):
        refuse(": continue_final_message and add_generation_prompt exclude each other; send one of them")
    documents = arguments.get("documents")
    if documents is not None and not (isinstance(documents, list) and all(isinstance(d, dict) for d in documents)):
        refuse('.documents: expected a list of objects, such as {"title": ..., "text": ...}')
