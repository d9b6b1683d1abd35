"""Real models in plain JAX, made sparse."""
