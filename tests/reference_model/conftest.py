"""What all tests of the reference model need."""

from importlib.util import find_spec

if find_spec("torch") is not None:
    import torch

    # Processes of pytest share the cores, and threads that wait for each other there take five times as long.
    torch.set_num_threads(1)
