"""Anthropic's endpoints: built-in plugins that answer register_routes, translated to and from the same messages."""
