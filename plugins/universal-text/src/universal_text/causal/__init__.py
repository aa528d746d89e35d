"""Causal language models: prompt -> engine (scheduler, runner, sampler) -> events."""
