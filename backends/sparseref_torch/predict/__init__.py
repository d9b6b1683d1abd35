"""What sparsity would gain in latency on this machine, before anything is trained."""
