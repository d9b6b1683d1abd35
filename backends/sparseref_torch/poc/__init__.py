"""The proof on real data: what a model loses in quality, and gains in latency and storage, when it is made sparse."""
