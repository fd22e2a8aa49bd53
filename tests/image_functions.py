"""Functions of an image that a test runs in another process, which imports them from this module."""

import os

import numpy as np

from piq_bench.images.parallel import Array
from piq_bench.records import Pixels


def first_value(pixels: Pixels) -> Array:
    return np.asarray(pixels[0, 0])


def dying(pixels: Pixels) -> Array:
    os._exit(1)
