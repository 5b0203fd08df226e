"""vidya trains a small chat language model from scratch on the CPU you own.

The interface is the commands (`python -m vidya.NAME`), `vidya.kernels` (the C kernels over
NumPy arrays) and `vidya.rewards`; the other packages are the inside, which may change.
Nothing heavy is imported here, so that `import vidya` costs nothing.
"""

import os
import sys

__version__ = "0.1.0"

if getattr(sys, "argv", [])[:1] == ["-m"]:  # Python is about to run one of the commands
    from vidya.system.import_path import forget_current_folder

    forget_current_folder(os.path.dirname(__path__[0]))
