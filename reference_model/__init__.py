"""The reference model: the paper's baselines in PyTorch, with training, prediction and speed measurement."""
