"""What an operator sees: log, metrics, GPUs."""
