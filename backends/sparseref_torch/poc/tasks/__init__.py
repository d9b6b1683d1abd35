"""The tasks that come with sparseref, one a file: each defines load_model, train_batches and evaluate (task.py)."""
