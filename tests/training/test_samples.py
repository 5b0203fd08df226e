"""The file of replies sampled in training."""

import pytest

from vidya.errors import UserError
from vidya.training.samples import append_samples, truncate_samples


def test_samples_after_a_step_can_be_dropped(tmp_path):
    path = tmp_path / "samples.txt"
    truncate_samples(path, 3)  # nothing there
    assert not path.exists()
    append_samples(path, 2, ["  'hello' → 'a'", "  'how' → 'é'"])
    kept = path.read_bytes()
    assert kept == "step 2\n  'hello' → 'a'\n  'how' → 'é'\n\n".encode()
    for step in (4, 10):
        append_samples(path, step, ["  'hello' → 'b'"])
    with open(path, "a") as file:
        file.write("step 12\n  'hel")  # killed while it wrote
    truncate_samples(path, 3)
    assert path.read_bytes() == kept
    before = path.stat()
    truncate_samples(path, 2)
    assert path.stat().st_ino == before.st_ino  # not written again for nothing


def test_samples_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory: free some space$"):
        append_samples(tmp_path, 1, [])
