"""Options that several commands have: what they refuse."""

import pytest

from vidya.errors import UserError
from vidya.terminal.common_options import SeedOption


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_is_a_64_bit_number(seed):
    with pytest.raises(UserError, match="seed must be in"):
        SeedOption(seed=seed).check()
    SeedOption(seed=2**64 - 1).check()
