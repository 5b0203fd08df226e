"""Memory: what is planned is what is taken, and a step takes nothing new."""

import json
import os
import re
import resource
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.training_runs import TINY, train, write_corpus
from support.warm_training import BUFFER, TOKENS, WIDTH, warm_training

from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.system import process_memory
from vidya.text.batch_plan import Batch
from vidya.training import memory_plan

pytestmark = [pytest.mark.either_precision, pytest.mark.usefixtures("kernel_settings")]

CONFIG = ModelConfig(32, 2, 1, 16, 300)


# ---------------------------------------------------------------- the plan


def test_the_plan_counts_what_the_model_has():
    model = Model(CONFIG, max_tokens=64)
    planned = memory_plan.plan_memory(model, evaluates=True, batches=None, base=1000)
    own = 4 * CONFIG.parameter_count()
    assert (planned.parameters, planned.gradients, planned.moments) == (own, own, 2 * own)
    # ten numbers a token, layer and column for backward, in float32
    assert planned.activations > 10 * 4 * 64 * CONFIG.n_layer * CONFIG.n_embd
    assert 0 < planned.evaluation < planned.activations
    assert planned.base == 1000 and planned.corpus == 0
    assert planned.total == 4 * own + planned.activations + planned.evaluation + 1000
    saving = memory_plan.plan_memory(model, evaluates=True, batches=None, base=1000, saves=True)
    assert saving.total == planned.total + saving.snapshot and saving.snapshot == 3 * own
    assert f"checkpoint on its way {3 * own / 1e6:.1f}, " in saving.line()
    without = memory_plan.plan_memory(model, evaluates=False, batches=None, base=1000)
    assert without.total == planned.total - planned.evaluation


def test_the_plan_in_a_line():
    planned = memory_plan.MemoryPlan(
        40_100_000, 40_100_000, 80_200_000, 75_700_000, 0, 600_000, 56_000_000
    )
    assert planned.line() == (
        "memory: 293 MB planned for the longest step, in MB: parameters 40.1, gradients 40.1, "
        "Adam's moments 80.2, activations and scratch 75.7, corpus index 0.6, Python and "
        "libraries 56.0"
    )


CHILD = """
import numpy as np
from vidya import kernels
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.system.process_memory import resident_bytes
from vidya.text.batch_plan import Batch
from vidya.training.memory_plan import plan_memory
kernels.set_num_threads(1)
config = ModelConfig(128, 6, 4, 128, 2000)
ids = np.random.default_rng(0).integers(0, 2000, 2048).astype(np.int32)
batch = Batch(ids, ids.copy(), np.arange(0, 2049, 128))
small = Model(ModelConfig(64, 1, 2, 16, 50), max_tokens=16)  # wakes OpenBLAS
few = Batch(ids[:16] % 50, ids[:16] % 50, np.array([0, 16]))
small.loss_and_gradients(few)
before = resident_bytes()
model = Model(config, max_tokens=2048)
model.init(0)
adam = Adam(model)
planned = plan_memory(model, evaluates=True, batches=None, base=before)
for _ in range(2):
    model.loss_and_gradients(batch, dropout_seed=0)
    adam.update(1e-3, adam.gradient_norm())
    model.losses(batch)
print(planned.total - before, resident_bytes() - before)
"""


def in_child(program):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def test_what_is_planned_is_what_is_taken():
    planned, taken = in_child(CHILD)
    assert planned > 50e6
    assert taken == pytest.approx(planned, rel=0.05)


def test_freed_memory_is_given_back():
    """Many small pieces, freed while a later one is still in use: the heap cannot shrink."""
    before, after = in_child("""
        import ctypes
        from vidya.system.process_memory import give_back, resident_bytes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]
        pieces = [libc.malloc(4000) for _ in range(20_000)]
        for piece in pieces:
            ctypes.memset(piece, 1, 4000)
        for piece in pieces[:-1]:
            libc.free(piece)
        print(resident_bytes())
        give_back()
        print(resident_bytes())
    """)
    assert before - after > 60e6


def test_the_peak_stays_when_memory_goes():
    before = process_memory.peak_bytes()
    assert before >= process_memory.resident_bytes() * 0.9
    size = max(0, before - process_memory.resident_bytes()) + 80_000_000
    big = np.ones(size, np.uint8)
    grown = process_memory.peak_bytes()
    assert grown >= before + 60_000_000
    del big
    # the kernel's own counters are some pages late
    assert (
        process_memory.peak_bytes()
        > grown - 5_000_000
        > process_memory.resident_bytes() + 50_000_000
    )


def test_a_system_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(process_memory, "_STATUS", tmp_path / "status")
    assert process_memory.peak_bytes() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert process_memory.mapped_bytes() == 0
    assert "mapped" not in memory_plan.in_use_line(None, "now")


def test_what_is_in_use_in_a_line():
    planned = memory_plan.MemoryPlan(0, 0, 0, 0, 0, 0, 2 * process_memory.resident_bytes())
    line = memory_plan.in_use_line(planned, "after the first step")
    found = re.fullmatch(
        r"memory: (\d+) MB in use after the first step, (\d+)% of the plan; (\d+) MB of it mapped "
        r"files; peak so far (\d+ MB|\d\.\d GB)",
        line,
    )
    assert found is not None, line
    assert int(found[2]) in range(45, 56)
    assert 0 < int(found[3]) < int(found[1])


@pytest.mark.auto_precision
def test_a_training_says_both(tmp_path):
    write_corpus(tmp_path, 2500)  # enough to fill a step, and an evaluation
    given = [*TINY, "--data", "small.txt", "--n-embd", 128, "--tokens-per-step", 2048]
    told = ["--out", "run", "--verbose"]
    first = train(*given, *told, "--steps", 2, cwd=tmp_path, fresh=True)
    more = train("--resume", *told, "--steps", 4, cwd=tmp_path, fresh=True)
    # a run that goes on has not evaluated yet
    for done, least in ((first, 90), (more, 75)):
        plan, use = [line for line in done.stderr.splitlines() if line.startswith("memory: ")]
        parts = [float(part) for part in re.findall(r" (\d+\.\d)", plan)]
        assert sum(parts) == pytest.approx(float(re.search(r"(\d+) MB planned", plan)[1]), abs=1)
        assert int(re.search(r" (\d+)% of the plan", use)[1]) in range(least, 111), (plan, use)
        # in order: before the first step, and after it
        lines = done.stderr.splitlines()
        assert lines.index(plan) < lines.index(use)


# ---------------------------------------------------------------- a step takes nothing new


@pytest.fixture
def training(tmp_path):
    with warm_training(tmp_path) as made_and_step:
        yield made_and_step


def peak_of(step):
    """Bytes that Python and NumPy allocate at one time inside the step, beyond what is there."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.auto_precision
def test_a_step_makes_no_array_of_the_activations_size(training):
    """The batch itself is made anew, a few numbers a token."""
    _, step = training
    assert max(peak_of(step) for _ in range(3)) < 64 * TOKENS + 20_000 < BUFFER


def test_that_would_be_seen(training):
    made, step = training
    kept = made.optimizer.gradient_norm
    made.optimizer.gradient_norm = lambda: kept() + 0 * np.zeros((TOKENS, WIDTH), np.float32)[0, 0]
    assert peak_of(step) > BUFFER


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of steps made in a process of its own: what other tests left cannot hide them."""
    tests = Path(__file__).parents[1]
    command = [
        sys.executable, tests / "support" / "warm_training.py", tmp_path_factory.mktemp("pages")
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(tests), os.environ.get("PYTHONPATH")]))
    # arrays from 64 KiB on come from the system each time they are made, and go back to it
    done = subprocess.run(
        command, env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name: SimpleNamespace(**found) for name, found in json.loads(done.stdout).items()}


PAGES = BUFFER // 4096
"""One array [tokens, width]."""


def test_twenty_steps_page_no_memory_in(pages):
    """Neither Python nor C may take and touch new memory step by step."""
    assert pages.keys() == {"own", "leaking", "taking"}
    assert pages["own"].faults < PAGES  # that is a twentieth of an array a step
    assert pages["own"].grown < 2 * BUFFER


def test_those_would_be_seen(pages):
    """A leak of an array a step, and one that is taken from the system and given back."""
    assert pages["leaking"].faults >= 20 * PAGES
    assert pages["leaking"].grown > 19 * BUFFER
    assert pages["taking"].faults >= 20 * PAGES
    assert pages["taking"].grown < 2 * BUFFER


def test_the_longest_batch_takes_no_more_than_planned():
    """Buffers are of the longest batch from the start: a longer one makes none."""
    model = Model(CONFIG, max_tokens=64)
    short, long = (
        Batch(np.zeros(n, np.int32), np.ones(n, np.int32), np.arange(0, n + 1, 16))
        for n in (16, 64)
    )
    model.loss_and_gradients(short)
    own = model.activations(training=True)
    count = len(own.arrays)
    assert peak_of(lambda: model.loss_and_gradients(long)) < 64 * 64 + 8_000
    assert model.activations(training=True) is own and len(own.arrays) == count
