"""Options that several commands have: what they refuse."""

import pytest

from vidya.errors import UserError
from vidya.terminal.common_options import MeasuredThreadsOption, SeedOption, ThreadsOption


@pytest.mark.parametrize("option", [ThreadsOption, MeasuredThreadsOption])
@pytest.mark.parametrize("threads", [-1, 0, 257])
def test_a_number_of_threads_that_cannot_be_is_refused(option, threads):
    with pytest.raises(UserError, match=f"between 1 and 256, not {threads}"):
        option(threads=threads).check()
    for fine in ("auto", 1, 256):
        option(threads=fine).check()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_is_a_64_bit_number(seed):
    with pytest.raises(UserError, match="seed must be in"):
        SeedOption(seed=seed).check()
    SeedOption(seed=2**64 - 1).check()
