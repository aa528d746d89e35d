"""For authors of plugins: the contract kit that every backend must pass, and a backend to test against."""

from universal_core.testing.contract import BackendContract, chat_request

__all__ = ["BackendContract", "chat_request"]
