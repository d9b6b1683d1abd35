"""Real data that comes in packages: loaders, and splits that keep training and held-out apart."""
