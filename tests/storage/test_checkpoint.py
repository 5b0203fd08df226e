"""Checkpoints: whole or refused, and never lost."""

import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vidya.errors import UserError
from vidya.storage import checkpoint, checkpoint_folder, checkpoint_format
from vidya.storage.checkpoint_folder import (
    checkpoint_name,
    finetuned_name,
    step_of_name,
    training_checkpoints,
)
from vidya.storage.checkpoint_format import FORMAT, CheckpointError, read_digest, read_meta
from vidya.system.atomic_file import remove_stale

BASE = "microgpt_chat_10m_v5"
META = {"kind": "training", "step": 7, "config": {"n_embd": 8, "dropout": 0.1}, "seed": 0}


def small() -> dict[str, np.ndarray]:
    return {"wte": np.arange(6, dtype=np.float32).reshape(2, 3), "adam_m": np.ones(2, np.float32)}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype
        and a[name].shape == b[name].shape
        and a[name].tobytes() == b[name].tobytes()
        for name in a
    )


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "model.bin"
    checkpoint.save(path, small(), META)
    return path


# --- content -----------------------------------------------------------------------

tensors = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
    st.sampled_from(
        ["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
    ).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5))
    ),
    max_size=5,
)


@given(tensors)
def test_what_is_saved_is_loaded_by_us_and_by_safetensors(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("c") / "model.bin"
    checkpoint.save(path, arrays, META)
    loaded, meta = checkpoint.load(path)
    assert same(loaded, arrays)
    assert meta == META == read_meta(path)
    assert same(safetensors.numpy.load_file(path), arrays)


def test_the_header_is_as_documented(saved):
    with safetensors.safe_open(saved, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["vidya"]) == META
    assert len(bytes.fromhex(metadata["digest"])) == 32


def test_data_are_aligned_whatever_the_dtypes(tmp_path):
    path = tmp_path / "model.bin"
    arrays = {"a": np.ones(3, np.uint8), "b": np.ones(1, np.float64), "c": np.ones(5, np.uint16)}
    checkpoint.save(path, arrays, {})
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    for name, array in arrays.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_strided_and_big_endian_arrays(tmp_path):
    path = tmp_path / "model.bin"
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    checkpoint.save(path, {"t": values.T, "s": values[:, ::2], "b": values.astype(">f4")}, {})
    loaded, _ = checkpoint.load(path)
    assert np.array_equal(loaded["t"], values.T)
    assert np.array_equal(loaded["s"], values[:, ::2])
    assert np.array_equal(loaded["b"], values)
    assert loaded["t"].flags.writeable and loaded["t"].flags.c_contiguous


def test_a_dtype_that_safetensors_lacks(tmp_path):
    with pytest.raises(TypeError, match="wte, of dtype complex64"):
        checkpoint.save(tmp_path / "model.bin", {"wte": np.ones(1, np.complex64)}, {})
    assert os.listdir(tmp_path) == []


def test_zeros_like_those_of_the_digest_do_no_harm(tmp_path):
    path = tmp_path / "model.bin"
    arrays = {"0" * 64: np.frombuffer(b"0" * 64, np.uint8)}
    checkpoint.save(path, arrays, {"tokenizer_hash": "0" * 64})
    loaded, meta = checkpoint.load(path)
    assert same(loaded, arrays)
    assert meta == {"tokenizer_hash": "0" * 64}


def test_saving_copies_nothing(tmp_path):
    flat = np.ones(8 << 20, np.float32)  # 32 MB, as views and as a whole
    views = {"wte": flat[: 4 << 20].reshape(2048, -1), "rest": flat[4 << 20 :], "adam_m": flat}
    tracemalloc.start()
    checkpoint.save(tmp_path / "model.bin", views, META)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize("names", [checkpoint.is_weight, ["wte"], {"wte"}, ("wte",)])
def test_only_what_is_wanted_takes_memory(tmp_path, names):
    path = tmp_path / "model.bin"
    moments = np.ones(8 << 20, np.float32)
    checkpoint.save(path, {**small(), "adam_m": moments, "adam_v": moments}, META)
    tracemalloc.start()
    loaded, meta = checkpoint.load(path, names=names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(loaded) == ["wte"] and np.array_equal(loaded["wte"], small()["wte"])
    assert meta == META
    assert peak < 20 << 20
    with open(path, "r+b") as file:  # damage to what was not wanted is found all the same
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(CheckpointError, match="digest"):
        checkpoint.load(path, names=names)


def test_a_tensor_that_is_not_there(saved):
    with pytest.raises(CheckpointError, match=r"has no tensor final_norm, wpe"):
        checkpoint.load(saved, names=["wte", "wpe", "final_norm"])


# --- damage ------------------------------------------------------------------------


def refused(path: Path) -> str:
    """The one line that says why `path` is refused."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def flip(file, position: int, bit: int) -> None:
    file.seek(position)
    byte = file.read(1)[0]
    file.seek(position)
    file.write(bytes([byte ^ (1 << bit)]))
    file.flush()


def test_every_single_bit_matters(saved):
    """Every bit of a small file in turn: length, header, metadata, padding, data."""
    size = saved.stat().st_size
    with open(saved, "r+b") as file:
        for position in range(size):
            for bit in range(8):
                flip(file, position, bit)
                refused(saved)
                flip(file, position, bit)
    assert same(checkpoint.load(saved)[0], small())


def test_random_bits_of_a_large_file(tmp_path):
    path = tmp_path / "model.bin"
    rng = random.Random(0)
    arrays = {f"t{i}": np.full(300_000 + i, i, np.float32) for i in range(3)}
    checkpoint.save(path, arrays, META)
    size = path.stat().st_size
    positions = [rng.randrange(size) for _ in range(60)] + [size - 1, 1 << 20, (1 << 20) - 1]
    with open(path, "r+b") as file:
        for position in positions:
            bit = rng.randrange(8)
            flip(file, position, bit)
            refused(path)
            flip(file, position, bit)
    assert same(checkpoint.load(path)[0], arrays)


def test_swapped_tensors_are_noticed(saved):
    """Same bytes, same lengths, other places: a checksum of the data alone would pass."""
    raw = saved.read_bytes()
    swapped = raw.replace(b'"wte":', b'"wtf":')
    assert swapped != raw
    saved.write_bytes(swapped)
    assert "digest" in refused(saved)


def test_truncated_anywhere(saved):
    raw = saved.read_bytes()
    for length in range(len(raw)):
        saved.write_bytes(raw[:length])
        message = refused(saved)
        if length >= 8:
            assert f"truncated: {length} of" in message
        with pytest.raises(CheckpointError):
            read_meta(saved)


def test_something_appended(saved):
    with open(saved, "ab") as file:
        file.write(b"\0")
    assert "damaged" in refused(saved)


def test_a_file_that_shrinks_while_it_is_read(saved, monkeypatch):
    checkpoint.save(saved, {"wte": np.ones(1 << 20, np.float32)}, META)
    original = checkpoint._select

    def shrink(*args):
        os.truncate(saved, saved.stat().st_size - 1)
        return original(*args)

    monkeypatch.setattr(checkpoint, "_select", shrink)  # called after the header is checked
    assert "shorter" in refused(saved)


def write_raw(path: Path, header: object, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


GOOD = {"digest": "ab" * 32, "format": FORMAT, "vidya": "{}"}
F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        {"__metadata__": None},
        {"__metadata__": {"format": "pt"}},
        {"__metadata__": {**GOOD, "digest": 5}},
        {"__metadata__": {**GOOD, "digest": "ab"}},
        {"__metadata__": {**GOOD, "digest": ["a"] * 64}},
        {"__metadata__": {**GOOD, "vidya": "[]"}},
        {"__metadata__": {**GOOD, "vidya": "{"}},
        {"__metadata__": {**GOOD, "vidya": 3}},
        {"__metadata__": {**GOOD, "vidya": json.dumps("ab" * 32)}},
        {"__metadata__": GOOD, "wte": 3},
        {"__metadata__": GOOD, "wte": {**F32, "dtype": "F31"}},
        {"__metadata__": GOOD, "wte": {**F32, "dtype": []}},
        {"__metadata__": GOOD, "wte": {**F32, "shape": [2]}},
        {"__metadata__": GOOD, "wte": {**F32, "shape": [-1]}},
        {"__metadata__": GOOD, "wte": {**F32, "shape": [True]}},
        {"__metadata__": GOOD, "wte": {**F32, "shape": [1.0]}},
        {"__metadata__": GOOD, "wte": {**F32, "shape": 1}},
        {"__metadata__": GOOD, "wte": {**F32, "data_offsets": [0]}},
        {"__metadata__": GOOD, "wte": {**F32, "data_offsets": [4, 8]}},
        {"__metadata__": GOOD, "wte": {**F32, "data_offsets": [-4, 0]}},
        {"__metadata__": GOOD, "wte": F32, "other": F32},
        {"__metadata__": GOOD, "wte": {**F32, "shape": [10**30], "data_offsets": [0, 4 * 10**30]}},
        {"__metadata__": GOOD, "wte": F32},
    ],
)
def test_nonsense_in_the_header(tmp_path, header):
    path = tmp_path / "model.bin"
    write_raw(path, header, b"\0\0\0\0")
    refused(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\0" * 100, b"GGUF" * 100, b"\xff" * 100])
def test_other_files(tmp_path, content):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert "not a checkpoint" in refused(path)


def test_a_safetensors_file_of_somebody_else(tmp_path):
    path = tmp_path / "model.bin"
    safetensors.numpy.save_file(small(), path, {"format": "pt"})
    assert "not a checkpoint of vidya" in refused(path)


def test_another_format_version(tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    monkeypatch.setitem(checkpoint_format.DIGESTS, "vidya-3", hashlib.sha256)
    monkeypatch.setattr(checkpoint, "FORMAT", "vidya-3")
    checkpoint.save(path, small(), META)
    monkeypatch.undo()
    message = refused(path)
    assert "'vidya-3'" in message and "reads vidya-2 and vidya-1: update" in message


def test_a_file_of_the_first_format_is_read_and_verified(tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    monkeypatch.setattr(checkpoint, "FORMAT", "vidya-1")
    checkpoint.save(path, small(), META)
    monkeypatch.undo()
    loaded, meta = checkpoint.load(path)
    assert same(loaded, small()) and meta == META
    raw = path.read_bytes()
    blank = raw.replace(read_digest(path).encode(), b"0" * 64)
    assert hashlib.blake2b(blank, digest_size=32).hexdigest() == read_digest(path)
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert "damaged" in refused(path)


def test_missing_and_unreadable(tmp_path):
    assert "No such file" in refused(tmp_path / "model.bin")
    assert "Is a directory" in refused(tmp_path)
    with pytest.raises(CheckpointError, match="No such file"):
        read_meta(tmp_path / "model.bin")
    assert issubclass(CheckpointError, UserError)


# --- the right model ---------------------------------------------------------------

CONFIG = {"n_embd": 256, "n_layer": 12, "n_head": 8, "context": 256, "vocab_size": 2259}


def test_the_same_model_passes():
    there = {**CONFIG, "dropout": 0.1}
    checkpoint.require_same(
        {"config": json.loads(json.dumps(there)), "tokenizer_hash": "ab"},
        config={**CONFIG, "dropout": 0.0},
        tokenizer_hash="ab",
        path="x.bin",
    )


def difference(config: dict, tokenizer_hash: str = "ab", **options) -> str:
    meta = {"config": {**CONFIG, "dropout": 0.1}, "tokenizer_hash": "ab"}
    with pytest.raises(CheckpointError) as caught:
        checkpoint.require_same(
            meta, config=config, tokenizer_hash=tokenizer_hash, path="runs/x/a.bin", **options
        )
    assert str(caught.value).startswith("runs/x/a.bin: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_each_field_that_differs_is_named_with_both_values():
    message = difference({**CONFIG, "n_embd": 384, "n_layer": 18}, "cd")
    assert "n_embd is 256 there, 384 here" in message
    assert "n_layer is 12 there, 18 here" in message
    assert "tokenizer is ab there, cd here" in message
    assert "n_head" not in message and "dropout" not in message


def test_fields_that_only_one_side_has():
    assert "n_kv is absent there, 2 here" in difference({**CONFIG, "n_kv": 2})
    assert "context is 256 there, absent here" in difference(
        {name: value for name, value in CONFIG.items() if name != "context"}
    )


def test_nothing_is_ignored_on_request():
    assert "dropout is 0.1 there, 0.0 here" in difference({**CONFIG, "dropout": 0.0}, ignore=())


def test_metadata_without_a_model():
    with pytest.raises(CheckpointError, match=r"x\.bin does not say of which model"):
        checkpoint.require_same({}, config=CONFIG, tokenizer_hash="ab", path="x.bin")


# --- names and folders -------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (None, "B.bin"),
        (0, "B_0.bin"),
        (1, "B_1.bin"),
        (999, "B_999.bin"),
        (1000, "B_1k.bin"),
        (1500, "B_1500.bin"),
        (10_000, "B_10k.bin"),
        (1_000_000, "B_1000k.bin"),
    ],
)
def test_names(step, name):
    assert checkpoint_name("B", step) == name
    assert step_of_name(name, "B") == step
    assert finetuned_name("B") == "B_train.bin"


@given(st.integers(0, 10**9))
def test_the_step_is_read_back_from_the_name(step):
    name = checkpoint_name(BASE, step)
    assert step_of_name(name, BASE) == step


@pytest.mark.parametrize(
    "name",
    ["B.bin", "B_train.bin", "B_010k.bin", "B_1000.bin", "B_0k.bin", "C_1k.bin", "B_1k.bin.old",
     "BB_1k.bin", ".B_1k.bin.tmp-1-0", "B_-1.bin", "_1k.bin"],
)  # fmt: skip
def test_names_that_are_no_training_checkpoint(name):
    assert step_of_name(name, "B") is None


def fill(folder: Path, *steps: int) -> list[Path]:
    paths = [folder / checkpoint_name(BASE, step) for step in steps]
    for path, step in zip(paths, steps, strict=True):
        checkpoint.save(path, {"wte": np.full(4, step, np.float32)}, {"step": step})
    return paths


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def damage(path: Path) -> None:
    with open(path, "r+b") as file:
        flip(file, path.stat().st_size - 1, 0)


def test_newest_step_first(tmp_path):
    paths = fill(tmp_path, 9000, 10_000, 1500, 200)
    fill(tmp_path, 10_000)
    checkpoint.save(tmp_path / checkpoint_name("other", 99_000), small(), {})
    checkpoint.save(tmp_path / checkpoint_name(BASE), small(), {})
    found = training_checkpoints(tmp_path, BASE)
    assert found == [paths[1], paths[0], paths[2], paths[3]]


def test_load_newest_falls_back_past_damaged_ones_and_says_so(tmp_path):
    first, second, third = fill(tmp_path, 1000, 2000, 3000)
    told = []

    def newest():
        told.clear()
        return checkpoint.load_newest(tmp_path, BASE, lambda *what: told.append(what))

    path, arrays, meta = newest()
    assert (path, meta["step"], arrays["wte"][0], told) == (third, 3000, 3000, [])
    damage(third)
    assert newest()[0] == second
    assert [where for where, _ in told] == [third] and "digest" in told[0][1]
    cut(second)
    path, arrays, meta = newest()
    assert (path, meta["step"], arrays["wte"][0]) == (first, 1000, 1000)
    assert [where for where, _ in told] == [third, second] and "truncated" in told[1][1]
    first.write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of the 3 training checkpoints"):
        newest()
    assert len(told) == 3


def test_load_newest_without_any(tmp_path):
    with pytest.raises(CheckpointError, match=r"no training checkpoint .*without --resume"):
        checkpoint.load_newest(tmp_path, BASE, pytest.fail)


def test_prune_keeps_the_newest_whole_ones(tmp_path):
    paths = fill(tmp_path, 1000, 2000, 3000, 4000, 5000)
    final = tmp_path / checkpoint_name(BASE)
    checkpoint.save(final, small(), {})
    cut(paths[4])
    assert checkpoint_folder.prune(tmp_path, BASE, 2) == [paths[1], paths[0]]
    assert [path for path in [*paths, final] if path.exists()] == [*paths[2:], final]
    assert checkpoint_folder.prune(tmp_path, BASE, 2) == []


def test_prune_never_takes_the_only_whole_one(tmp_path):
    paths = fill(tmp_path, 1000, 2000, 3000)
    cut(paths[1])
    cut(paths[2])
    assert checkpoint_folder.prune(tmp_path, BASE, 1) == []
    assert checkpoint.load_newest(tmp_path, BASE, lambda *_: None)[0] == paths[0]
    with pytest.raises(UserError, match="at least 1"):
        checkpoint_folder.prune(tmp_path, BASE, 0)
    assert all(path.exists() for path in paths)


# --- full disk and sudden death ----------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a tmpfs here ({error}); the file size limit test stands in")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def file_size_limit(folder: Path, size: int):
    import resource

    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("scarce", "mends"),
    [
        pytest.param(lambda folder: small_disk(folder, "5m"), "free some space", id="tmpfs"),
        pytest.param(lambda folder: file_size_limit(folder, 3 << 20), "raise it", id="limit"),
    ],
)
def test_no_room_leaves_the_previous_checkpoint_whole(tmp_path, scarce, mends):
    with scarce(tmp_path / "run") as folder:
        path = folder / "model.bin"
        old = {"wte": np.full(600_000, 1, np.float32)}  # 2.4 MB
        checkpoint.save(path, old, {"step": 1})
        with pytest.raises(UserError, match=rf"4\.8 MB needed.*{mends}.*; .*untouched"):
            checkpoint.save(path, {"wte": np.full(1_200_000, 2, np.float32)}, {"step": 2})
        loaded, meta = checkpoint.load(path)
        assert same(loaded, old) and meta == {"step": 1}
        assert os.listdir(folder) == ["model.bin"]


def seconds_of_a_step(folder: Path) -> float:
    """How long the checkpoints of a step take here at best: disks differ a hundredfold."""
    path, times = folder / "trial", []
    for _ in range(6):
        start = time.monotonic()
        checkpoint.save(path, {"wte": np.ones(400_000, np.float32)}, {})
        times.append(time.monotonic() - start)
    path.unlink()
    return min(2 * min(times), 0.1)


def train_until_killed(folder: Path, step: int, told: int) -> None:
    """What a training does: a checkpoint of each step, the latest weights, old ones pruned."""
    while True:
        step += 1
        arrays = {name: np.full(250_000, step, np.float32) for name in ("wte", "adam_m")}
        meta = {"step": step}
        checkpoint.save(folder / checkpoint_name(BASE, step), arrays, meta)
        checkpoint.save(folder / checkpoint_name(BASE), {"wte": arrays["wte"]}, meta)
        checkpoint_folder.prune(folder, BASE, 2)
        os.write(told, struct.pack("<q", step))


def kill_at_a_random_moment(folder: Path, step: int, seconds: float) -> int:
    """Fork a training that goes on from `step`, kill it; the last step it told us of."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            train_until_killed(folder, step, writer)
        finally:
            os._exit(1)
    os.close(writer)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), "the child must still have been saving"
    with open(reader, "rb") as pipe:
        said = pipe.read()
    return struct.unpack_from("<q", said, len(said) - 8)[0] if said else step


def whole(arrays: dict[str, np.ndarray], meta: dict, names: set[str]) -> int:
    assert set(arrays) == names
    assert all((array == meta["step"]).all() for array in arrays.values())
    return meta["step"]


def test_80_kills_inside_checkpoint_writing_lose_nothing(tmp_path):
    rng = random.Random(0)
    final = tmp_path / checkpoint_name(BASE)
    fill(tmp_path, 0)
    checkpoint.save(final, {"wte": np.zeros(4, np.float32)}, {"step": 0})
    pace = seconds_of_a_step(tmp_path)
    step, final_step, torn = 0, 0, 0
    for _ in range(80):
        started = step
        told = kill_at_a_random_moment(tmp_path, step, rng.uniform(0.05, 2.5) * pace)
        torn += bool(list(tmp_path.glob(".*.tmp-*")))

        # No checkpoint under its own name is ever anything but whole.
        path, arrays, meta = checkpoint.load_newest(tmp_path, BASE, pytest.fail)
        step = whole(arrays, meta, {"wte", "adam_m"} if meta["step"] else {"wte"})
        assert step in (told, told + 1), "a checkpoint that was reported as saved is there"
        before, final_step = final_step, whole(*checkpoint.load(final), {"wte"})
        if told > started:
            assert final_step in (told, told + 1)
        else:  # killed in its first step: the new weights, or those from before it
            assert final_step in (before, started + 1)
        assert path.name == checkpoint_name(BASE, step)

        remove_stale(tmp_path)
        assert not list(tmp_path.glob(".*.tmp-*"))
        checkpoint_folder.prune(tmp_path, BASE, 2)
        assert 1 <= len(training_checkpoints(tmp_path, BASE)) <= 2
    assert torn >= 8, "too few kills landed in the middle of a write to prove anything"
    assert step >= 8, "too few saves went through"
