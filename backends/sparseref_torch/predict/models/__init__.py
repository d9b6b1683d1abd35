"""Models to predict that come with sparseref; their weights are random, which does not matter for speed."""
