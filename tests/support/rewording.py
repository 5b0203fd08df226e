"""What a change of a question can make of it, drawn many times."""

import numpy as np


def outcomes(change, text, draws=150):
    """All that `draws` draws of a change make of a text."""
    rng = np.random.default_rng(0)
    return {change(text, rng) for _ in range(draws)}
