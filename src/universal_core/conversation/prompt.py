"""From a request to the tokens that the model reads."""

from collections.abc import Callable

from universal_core.conversation.plain import render_plain
from universal_core.conversation.template import ChatTemplate, check_arguments
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest, TokenizeRequest

# The arguments of templates that the plain format knows, too.
_PLAIN = {"add_generation_prompt", "continue_final_message"}


class Prompter:
    """Writes prompts in the form that the model was trained on: its chat template, or else the plain format."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate | None) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self.ending: Callable[[ChatRequest, str], str] = lambda request, prompt: ""
        """What the model's dialect puts behind a prompt, so that the answer begins as it is to."""
        self.shown: Callable[[ChatRequest], ChatRequest] = lambda request: request
        """What the model's dialect makes of a conversation: tools in the way in which the model can be shown them."""

    @property
    def template(self) -> ChatTemplate | None:
        """The chat template that the model brings."""
        return self._template

    @property
    def has_template(self) -> bool:
        """Whether the model brings a chat template."""
        return self._template is not None

    def read_chat(self, request: ChatRequest | TokenizeRequest) -> list[int]:
        """Return the tokens of a conversation that ends where the answer begins."""
        return self._vocabulary.encode(self.write_chat(request), special=not self.has_template)

    def write_chat(self, request: ChatRequest | TokenizeRequest) -> str:
        """Return the conversation as text. Raises BadRequest for what the template refuses."""
        arguments = request.chat_template_kwargs
        request = self.shown(request) if isinstance(request, ChatRequest) else request
        if self._template is not None:
            text = self._template.render(request.messages, tools=request.tools, arguments=arguments)
            return text + self.ending(request, text) if isinstance(request, ChatRequest) else text
        check_arguments(arguments)
        if unknown := sorted(arguments.keys() - _PLAIN):
            raise BadRequest(
                f"this model has no chat template that could use {', '.join(unknown)}; leave it out",
                param="chat_template_kwargs",
            )
        opens, continues = arguments.get("add_generation_prompt", True), arguments.get("continue_final_message", False)
        return render_plain(request.messages, opens=opens, continues=continues)

    def read_text(self, prompt: str | tuple[int, ...]) -> list[int]:
        """Return the tokens of a text, or the given ones after a check."""
        if isinstance(prompt, str):
            return self._vocabulary.encode(prompt, special=True)
        return self._vocabulary.check(prompt, "prompt")
