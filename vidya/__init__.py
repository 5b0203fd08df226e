"""vidya trains a small chat language model from scratch on the CPU you own.

The interface is the commands (`python -m vidya.NAME`), `vidya.kernels` (the C kernels over
NumPy arrays) and `vidya.rewards`; the other packages are the inside, which may change.
Nothing heavy is imported here, so that `import vidya` costs nothing.
"""

__version__ = "0.1.0"
