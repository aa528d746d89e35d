"""Language models: prompt -> engine (scheduler, cache, decoder, sampler) -> events."""
