"""Names, shapes and numbers of a model's parameters."""

import pytest

from vidya.model.parameters import parameter_parts, parameter_shapes
from vidya.model.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_by_component(name):
    size = PRESETS[name].model(256 + 3 + PRESETS[name].merges, 0.1)
    parts = dict.fromkeys(parameter_parts(size), 0)
    for parameter, shape in parameter_shapes(size).items():
        part = (
            "norms" if parameter.endswith("norm")
            else "attention" if "attn" in parameter
            else "feed-forward" if "ffn" in parameter
            else "embedding (tied)"
        )  # fmt: skip
        parts[part] += shape[0] * (shape[1] if len(shape) == 2 else 1)
    assert parts == parameter_parts(size)
    assert sum(parts.values()) == size.parameter_count()


def test_a_25m_model_has_33_million_parameters():
    parts = parameter_parts(PRESETS["25m"].model(4259, 0.1))
    assert parts == {
        "embedding (tied)": 1_635_456, "attention": 10_616_832, "feed-forward": 21_233_664,
        "norms": 14_592,
    }  # fmt: skip
