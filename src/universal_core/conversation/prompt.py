"""From a request to the tokens that the model reads."""

from universal_core.conversation.plain import render_plain
from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest, TokenizeRequest


class Prompter:
    """Writes prompts in the form that the model was trained on: its chat template, or else the plain format."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate | None) -> None:
        self._vocabulary = vocabulary
        self._template = template

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
        if self._template is not None:
            return self._template.render(request.messages, tools=request.tools, arguments=arguments)
        if arguments:
            raise BadRequest(
                f"this model has no chat template that could use {', '.join(sorted(arguments))}; leave it out",
                param="chat_template_kwargs",
            )
        return render_plain(request.messages)

    def read_text(self, prompt: str | tuple[int, ...]) -> list[int]:
        """Return the tokens of a text, or the given ones after a check."""
        if isinstance(prompt, str):
            return self._vocabulary.encode(prompt, special=True)
        return self._vocabulary.check(prompt, "prompt")
