"""Mixing corpora: weights, parts, what is counted, and what is left on the disk."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import run_command_process

from vidya.corpora import combine
from vidya.corpora.combine import combine_corpora
from vidya.errors import UserError
from vidya.text import corpus_file, held_out_split
from vidya.text.batch_plan import permutation
from vidya.text.tokenizer_training import train_tokenizer

words = st.sampled_from([f"document {i} äöü" for i in range(40)])
corpora = st.lists(st.lists(words, max_size=30), min_size=1, max_size=3)


def files_of(folder: Path, *contents: list[str]) -> list[Path]:
    paths = []
    for number, documents in enumerate(contents):
        paths.append(folder / f"in{number}.txt")
        paths[-1].write_bytes("".join(f"{d}\n" for d in documents).encode())
    return paths


def lines(path: Path) -> list[str]:
    return list(corpus_file.read_documents(path))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(combine, "PART_BYTES", 1000)


# ---------------------------------------------------------------- parts


@settings(max_examples=40, deadline=None)
@given(corpora, st.integers(0, 5), st.sampled_from([50, 200, 10**6]))
def test_parts_change_nothing_but_the_order(tmp_path_factory, contents, seed, part_bytes):
    if not any(contents):
        return
    folder = tmp_path_factory.mktemp("c")
    paths = files_of(folder, *contents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combine, "PART_BYTES", part_bytes)
        report = combine_corpora(paths, folder / "out.txt", seed=seed)
    everything = [d for some in contents for d in some]
    assert sorted(lines(folder / "out.txt")) == sorted(set(everything))
    seen: set[str] = set()
    for source, documents in zip(report.inputs, contents, strict=True):
        assert source.documents == len(documents)
        new = set(documents) - seen
        assert source.duplicates == len(documents) - len(new)
        seen |= new


def test_documents_of_many_parts_are_shuffled_and_repeatable(tmp_path, small_parts):
    paths = files_of(tmp_path, [f"a{i}" for i in range(2000)], [f"b{i}" for i in range(2000)])
    for name, seed in [("x", 0), ("y", 0), ("z", 1)]:
        combine_corpora(paths, tmp_path / name, seed=seed)
    x, y, z = (lines(tmp_path / name) for name in "xyz")
    assert x == y != z and sorted(x) == sorted(z)
    # Neighbours in the input are neighbours no more, and both corpora are everywhere.
    assert sum(a[0] == b[0] for a, b in itertools.pairwise(x)) < 2400
    for start in range(0, 4000, 500):
        assert 150 < sum(line[0] == "a" for line in x[start : start + 500]) < 350


def test_the_order_of_a_small_corpus_is_what_it_was(tmp_path):
    """One part: the permutation that earlier versions made, so corpus hashes stay."""
    documents = [f"d{i}" for i in range(50)]
    combine_corpora(files_of(tmp_path, documents), tmp_path / "o.txt", seed=3)
    assert lines(tmp_path / "o.txt") == [documents[i] for i in permutation(50, 3, 0)]


# ---------------------------------------------------------------- weights


def test_a_weight_is_the_share_that_is_taken(tmp_path, small_parts):
    one, two, three = ([f"{name}{i}" for i in range(2000)] for name in "abc")
    paths = files_of(tmp_path, one, two, three)
    report = combine_corpora(paths, tmp_path / "o.txt", weights=[1, 0.25, 2.5])
    counts = Counter(lines(tmp_path / "o.txt"))
    assert all(counts[d] == 1 for d in one)
    assert sum(counts[d] for d in two) == pytest.approx(500, abs=100)
    assert {counts[d] for d in two} == {0, 1}
    assert sum(counts[d] for d in three) == pytest.approx(5000, abs=120)
    assert {counts[d] for d in three} == {2, 3}
    assert report.inputs[1].not_taken == sum(counts[d] == 0 for d in two)
    assert report.inputs[2].repeats == sum(counts[d] for d in three) - 2000
    assert report.train.documents == counts.total()
    again = combine_corpora(paths, tmp_path / "p.txt", weights=[1, 0.25, 2.5])
    assert (tmp_path / "p.txt").read_bytes() == (tmp_path / "o.txt").read_bytes()
    assert again.inputs == report.inputs


def test_a_larger_weight_takes_what_a_smaller_one_took(tmp_path):
    paths = files_of(tmp_path, [f"d{i}" for i in range(1000)])
    for weight in (0.2, 0.6):
        combine_corpora(paths, tmp_path / f"{weight}", weights=[weight])
    assert set(lines(tmp_path / "0.2")) < set(lines(tmp_path / "0.6"))


def test_the_first_corpus_that_has_a_document_weighs_it(tmp_path):
    paths = files_of(tmp_path, ["both"], ["both", "second"])
    combine_corpora(paths, tmp_path / "o.txt", weights=[3, 2])
    assert sorted(lines(tmp_path / "o.txt")) == ["both"] * 3 + ["second"] * 2


@pytest.mark.parametrize("weights", [[0.01, 1.0], [3.0, 2.5]])
def test_the_validation_split_has_no_weights(tmp_path, weights, small_parts):
    one, two = [f"a{i}" for i in range(600)], [f"b{i}" for i in range(600)] + ["a1", "a2"]
    paths = files_of(tmp_path, one, two)
    val = tmp_path / "v.txt"
    report = combine_corpora(
        paths, tmp_path / "o.txt", weights=weights, val_out=val, val_fraction=0.1
    )
    held_out, rest = lines(val), set(lines(tmp_path / "o.txt"))
    assert sorted(held_out) == sorted(d for d in {*one, *two} if held_out_split.is_held_out(d, 0.1))
    assert not rest & set(held_out)
    assert sum(source.held_out for source in report.inputs) == len(held_out) > 50


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.inf], [np.nan, 1.0]])
def test_bad_weights(tmp_path, weights):
    with pytest.raises(UserError, match="weight"):
        combine_corpora(files_of(tmp_path, ["a"], ["b"]), tmp_path / "o.txt", weights=weights)
    assert not (tmp_path / "o.txt").exists()


def test_weights_that_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="the weights leave nothing"):
        combine_corpora(files_of(tmp_path, ["a"]), tmp_path / "o.txt", weights=[1e-9])
    assert [path.name for path in tmp_path.iterdir()] == ["in0.txt"]


# ---------------------------------------------------------------- the report


def test_tokens_are_counted_with_a_tokenizer(tmp_path):
    documents = [f"how are you number {i} ?" for i in range(100)]
    tokenizer = train_tokenizer(documents, 30)
    paths = files_of(tmp_path, documents)
    val = tmp_path / "v.txt"
    report = combine_corpora(paths, tmp_path / "o.txt", val_out=val, tokenizer=tokenizer)
    for output, path in [(report.train, tmp_path / "o.txt"), (report.held_out, val)]:
        assert output.tokens == sum(len(tokenizer.encode_document(d)) for d in lines(path)) > 0
        assert output.line().endswith(f"{output.tokens:,} tokens")
    without = combine_corpora(paths, tmp_path / "p.txt")
    assert not without.train.line().endswith("tokens")


def test_the_command_with_weights_and_tokens(tmp_path):
    paths = files_of(tmp_path, ["a b c d"] * 3, [f"x{i}" for i in range(400)])
    train_tokenizer(["a b c d"], 0).save(tmp_path / "t.json")
    out = tmp_path / "o.txt"
    given = "--weights", 4, 0.5, "--out", out, "--tokenizer", tmp_path / "t.json"
    done = run_command_process("data", "combine", *paths, *given)
    first, second, result = done.stdout.splitlines()
    assert first == (
        f"{paths[0]}: 3 documents, 24 bytes; dropped: 2 duplicate; 3 copies by weight 4"
    )
    gone = 400 + 4 - len(lines(out))
    assert second.endswith(f"dropped: {gone} left out by weight 0.5")
    tokens = sum(len(d) + 2 for d in lines(out))
    assert result == (
        f"{out}: {404 - gone} documents, {out.stat().st_size:,} bytes, {tokens:,} tokens"
    )


# ---------------------------------------------------------------- memory and disk


MEASURE = """
import sys
from pathlib import Path
from vidya.system.process_memory import peak_bytes
from vidya.corpora import combine
combine.PART_BYTES = 1_000_000
combine.combine_corpora([Path(sys.argv[1])], Path(sys.argv[2]), val_out=Path(sys.argv[3]))
print(peak_bytes())
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    draw = random.Random(0)
    peaks = []
    for count in (3_000, 300_000):
        path = tmp_path / f"{count}.txt"
        path.write_text("".join(f"{draw.random()} {'x' * 60}\n" for _ in range(count)))
        arguments = [path, tmp_path / "o.txt", tmp_path / "v.txt"]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1e6)
    # 24 MB of text in 300,000 documents: a list of them alone would be 40 MB.
    assert peaks[1] - peaks[0] < 25, peaks


def pipe_to(process, path):
    """The writing end of a named pipe that the process reads; it may have died before it did."""
    while True:
        with contextlib.suppress(OSError):  # nobody reads there yet
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(pipe, True)
            return open(pipe, "wb")
        assert process.poll() is None, "ended before it read anything"
        time.sleep(0.005)


def test_a_killed_process_leaves_no_parts(tmp_path):
    path = tmp_path / "in.txt"
    os.mkfifo(path)  # reading it never ends
    code = f"""
import sys
from pathlib import Path
from vidya.corpora.combine import combine_corpora
combine_corpora([Path({str(path)!r})], Path({str(tmp_path / "out" / "o.txt")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    with pipe_to(process, path) as pipe:
        pipe.write(b"a document\n" * 300_000)
        pipe.flush()
        process.kill()
    assert process.wait() == -signal.SIGKILL
    left = sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    assert left == 0


def test_tokenised_corpora_are_told_and_stay(tmp_path):
    spaced, written = files_of(tmp_path, [f"Hi , you {i} ." for i in range(5)], ["Hi, you."] * 5)
    told = str(combine_corpora([spaced, written], tmp_path / "out.txt")).splitlines()
    assert told[-1].startswith(f"5 of the 5 documents of {spaced} are written with spaces")
    assert sum("vidya.data text" in line for line in told) == 1
    assert "Hi , you 1 ." in lines(tmp_path / "out.txt")
