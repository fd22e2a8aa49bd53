"""The reference model: the paper's baselines in PyTorch, trained, predicting, and measured."""
