"""vidya trains a small chat language model from scratch on the CPU you own.

The modules are the interface: `vidya.kernels` (the C kernels over NumPy
arrays), `vidya.tokenizer`, `vidya.data`, `vidya.model.transformer`, `vidya.train`, … .
Nothing heavy is imported here, so that `import vidya` costs nothing.
"""

__version__ = "0.1.0"
