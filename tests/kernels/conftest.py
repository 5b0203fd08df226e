"""What tests of kernels share."""

import pytest
from support.reference.check import ISAS, use_isa


@pytest.fixture(params=ISAS)
def isa(request, kernel_settings):
    """Every instruction set that this processor has."""
    use_isa(request.param)
    return request.param
