"""The conversation format for models that bring no chat template.

    You are a helpful assistant.        <- a system turn, without a heading

    User:
    Hello!

    Assistant:
    Hello. What can I do for you?

    User:
    What is a llama?

    Assistant:
                                        <- the model continues here

Turns are separated by an empty line. A model that was never trained on conversations tends to go on with the
user's next turn, so the headings are stop strings.
"""

from collections.abc import Iterable

from universal_core.messages import ChatMessage

PLAIN_STOPS = ("\n\nUser:", "\n\nAssistant:", "\n\nTool:", "\nUser:", "\nAssistant:", "\nTool:")
"""The stop strings that belong to the format."""

_HEADINGS = {"user": "User:\n", "assistant": "Assistant:\n", "tool": "Tool:\n", "system": "", "developer": ""}


def render_plain(messages: Iterable[ChatMessage]) -> str:
    """Return the conversation as text that ends where the assistant's next turn begins."""
    turns = [_HEADINGS[message.role] + message.text.strip() for message in messages]
    return "\n\n".join([*turns, "Assistant:\n"])
