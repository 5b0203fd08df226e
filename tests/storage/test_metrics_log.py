"""metrics.jsonl: what is written reads back, whatever happened in between."""

import json
import math
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.storage.metrics_log import (
    MetricsWriter,
    describe_run,
    read_metrics,
    truncate_after,
)
from vidya.system.process_memory import resident_bytes
from vidya.system.processor import processor_name

RUN = {
    "config": {"n_embd": 128},
    "options": {"steps": 10},
    "seed": 3,
    "threads": 2,
    "precision": "fp32",
    "tokenizer_hash": "ab",
    "corpus_hash": "cd",
    "openblas": "OpenBLAS 0.3",
}


def write_lines(path, lines):
    with MetricsWriter(path) as writer:
        for line in lines:
            writer.write(line)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_lines_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"kind": "run", "seed": 1}, {"step": 1, "loss": 2.5}, {"step": 2, "val_loss": 0.1}]
    write_lines(path, lines[:2])
    write_lines(path, lines[2:])
    assert read_metrics(path) == lines
    assert len(path.read_text().splitlines()) == 3


@given(st.floats())
def test_every_float_reads_back_to_the_same_float(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("m") / "m"
    write_lines(path, [{"loss": value, "double": np.float64(value)}])
    line = read_metrics(path)[0]
    if math.isnan(value):
        assert math.isnan(line["loss"]) and math.isnan(line["double"])
    else:
        assert bits(line["loss"]) == bits(line["double"]) == bits(value)
    json.loads(path.read_text(), parse_constant=pytest.fail)  # valid JSON: no bare NaN


@given(st.floats(width=32, allow_nan=False))
def test_every_float32_reads_back_to_the_same_float32(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("m") / "m"
    write_lines(path, [{"loss": np.float32(value)}])
    got = read_metrics(path)[0]["loss"]
    assert type(got) is float
    assert np.float32(got).tobytes() == np.float32(value).tobytes()


def test_not_finite_numbers_are_strings_in_the_file(tmp_path):
    path = tmp_path / "m"
    write_lines(path, [{"a": math.nan, "b": np.float32(math.inf), "c": [-math.inf]}])
    assert path.read_text() == '{"a": "NaN", "b": "Infinity", "c": ["-Infinity"]}\n'


def test_numpy_values_and_paths_are_welcome(tmp_path):
    path = tmp_path / "m"
    line = {"i": np.int64(3), "b": np.True_, "a": np.arange(2), "n": {"x": np.uint16(7)}}
    write_lines(path, [{**line, "p": tmp_path}])
    want = {"i": 3, "b": True, "a": [0, 1], "n": {"x": 7}, "p": str(tmp_path)}
    assert read_metrics(path) == [want]


def test_each_line_is_there_at_once(tmp_path):
    path = tmp_path / "m"
    with MetricsWriter(path) as writer:
        writer.write({"step": 1})
        assert read_metrics(path) == [{"step": 1}]
        writer.sync()


KILLED = """
import sys
from vidya.storage.metrics_log import MetricsWriter
writer = MetricsWriter(sys.argv[1])
step = 0
while True:
    step += 1
    writer.write({"step": step, "loss": step / 7})
    print(step, flush=True)
"""


def test_a_killed_process_loses_no_line(tmp_path):
    path = tmp_path / "m"
    command = [sys.executable, "-c", KILLED, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(50):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = 50 + len([line for line in process.stdout if line.endswith("\n")])
    lines = read_metrics(path)
    assert len(lines) >= told
    assert lines == [{"step": step, "loss": step / 7} for step in range(1, len(lines) + 1)]


def test_a_torn_last_line_is_passed_over_and_removed_by_the_next_writer(tmp_path):
    path = tmp_path / "m"
    whole = b'{"step": 1, "loss": 2.5}\n'
    last = b'{"step": 2, "loss": 2.25}'
    for length in range(1, len(last)):
        path.write_bytes(whole + last[:length])
        assert read_metrics(path) == [{"step": 1, "loss": 2.5}]
        write_lines(path, [{"step": 3}])
        assert path.read_bytes() == whole + b'{"step": 3}\n'
    # Only the newline is missing: the line is whole.
    path.write_bytes(whole + last)
    assert len(read_metrics(path)) == 2
    write_lines(path, [{"step": 3}])
    assert path.read_bytes() == whole + last + b'\n{"step": 3}\n'


def test_a_torn_only_line(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b'{"ki')
    assert read_metrics(path) == []
    write_lines(path, [{"step": 1}])
    assert path.read_bytes() == b'{"step": 1}\n'


@pytest.mark.parametrize("damage", [b"\0\0\0", b"[1]", b'{"step": 1', b"\xff\xfe", b"", b"a\rb"])
def test_damaged_lines_are_errors_or_reported(tmp_path, damage):
    path = tmp_path / "m"
    path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 3}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        read_metrics(path)
    damaged = []
    assert read_metrics(path, damaged.append) == [{"step": 1}, {"step": 3}]
    assert damaged == [2]


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read metrics .*No such file"):
        read_metrics(tmp_path / "m")


def test_truncate_after_drops_later_steps_and_keeps_the_rest_byte_for_byte(tmp_path):
    path = tmp_path / "m"
    kept = [b'{"kind":"run",  "seed": 1}\n', b'{"step": 1}\n', b'{"step": 2, "loss": 1}\n']
    kept += [b'{"step": 2, "val_loss": 1}\n']
    dropped = [b'{"step": 3}\n', b"damaged\n", b'{"step": 12}\n', b'{"st']
    path.write_bytes(b"".join([*kept, *dropped[:2], b'{"note": "resumed"}\n', *dropped[2:]]))
    assert truncate_after(path, 2) == 4
    assert path.read_bytes() == b"".join(kept) + b'{"note": "resumed"}\n'
    assert os.listdir(tmp_path) == ["m"]
    assert truncate_after(path, 2) == 0


def test_an_evaluation_that_the_checkpoint_does_not_know_of_is_made_again(tmp_path):
    """Its line may have been written, and the run killed before the checkpoint was."""
    path = tmp_path / "m"
    lines = [{"step": 2, "loss": 1.0}, {"step": 2, "val_loss": 1.0}, {"step": 3, "loss": 1.0}]
    earlier = {"step": 1, "val_loss": 2.0}
    write_lines(path, [earlier, *lines])
    assert truncate_after(path, 2, evaluated=False) == 2
    assert read_metrics(path) == [earlier, lines[0]]


def test_truncate_after_leaves_a_missing_file_missing(tmp_path):
    assert truncate_after(tmp_path / "m", 5) == 0
    assert not (tmp_path / "m").exists()


def test_killed_and_resumed_has_the_lines_of_a_run_never_stopped(tmp_path):
    lines = [{"kind": "run"}, *({"step": step, "loss": 1 / step} for step in range(1, 11))]
    write_lines(tmp_path / "straight", lines)
    write_lines(tmp_path / "resumed", lines[:9])  # killed after step 8,
    truncate_after(tmp_path / "resumed", 5)  # its checkpoint is of step 5
    write_lines(tmp_path / "resumed", lines[6:])
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "m"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsWriter(path) as writer:
        writer.write({"step": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # cuts the next line in two
        try:
            with pytest.raises(UserError, match=r"cannot write .*: free some space$"):
                writer.write({"step": 2, "loss": 1.0})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == b'{"step": 1}\n'
        writer.write({"step": 2})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_describe_run_names_what_is_needed_to_repeat_it(tmp_path):
    line = describe_run(**RUN)
    assert {"vidya", "python", "numpy", "openblas"} == set(line["versions"])
    for key in ("config", "options", "seed", "threads", "precision"):
        assert line[key] == RUN[key]
    assert (line["tokenizer_hash"], line["corpus_hash"]) == ("ab", "cd")
    assert line["processor"] == processor_name() != ""
    write_lines(tmp_path / "m", [line])
    assert read_metrics(tmp_path / "m") == [line]


def test_rss_grows_with_the_memory_in_use():
    before = resident_bytes()
    with mmap.mmap(-1, 64 << 20) as block:  # never memory that was freed and kept
        np.frombuffer(block, np.uint8)[:] = 1
        grown = resident_bytes() - before
    assert before > 1 << 20
    assert 60e6 < grown < 80e6
