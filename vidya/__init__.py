"""vidya trains a small chat language model from scratch on the CPU you own.

    model = vidya.load("runs/10m")
    model.reply("hello")

The interface is the commands (`python -m vidya.NAME`), `vidya.load` and the model that it gives
(vidya/api.py), `vidya.errors`, `vidya.kernels` (the C kernels over NumPy arrays) and
`vidya.rewards`; the other packages are the inside, which may change.
Nothing heavy is imported here, so that `import vidya` costs nothing.
"""

import os
import sys

TYPE_CHECKING = False  # as type checkers know it; `typing` takes longer than all else here
if TYPE_CHECKING:
    from vidya.api import ChatModel, TextScore, load

__all__ = ["ChatModel", "TextScore", "load"]
__version__ = "0.1.0"

if getattr(sys, "argv", [])[:1] == ["-m"]:  # Python is about to run one of the commands
    from vidya.system.import_path import forget_current_folder

    forget_current_folder(os.path.dirname(__path__[0]))


def __getattr__(name: str) -> object:
    """What vidya/api.py offers, which is imported when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import vidya.api

    return getattr(vidya.api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
