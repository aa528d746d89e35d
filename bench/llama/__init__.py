"""GGUF models: universal-gguf beside llama-server, llama-cpp-python's own server, and the barest loop."""
