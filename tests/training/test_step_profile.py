"""Where the time of a step goes: every call is counted once, and nothing is changed."""

import re
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.training_runs import TINY, curve, train, weights, write_corpus

from vidya import kernels
from vidya.model import micro_batches
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.text.batch_plan import Batch
from vidya.training import step_profile
from vidya.training.step_profile import PYTHON, Call, StepProfiler, steps_to_watch

pytestmark = pytest.mark.auto_precision

CONFIG = ModelConfig(32, 3, 2, 40, 300, dropout=0.1)
LENGTHS = (40, 7, 1, 30)


def batch_of(lengths, seed=0):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.random.default_rng(seed).integers(0, CONFIG.vocab_size, (2, offsets[-1]), np.int32)
    return Batch(ids[0].copy(), ids[1].copy(), offsets)


def profile_steps(model, step, batches):
    profiler = StepProfiler(model)
    for batch in batches:
        with profiler.watching(batch):
            step(batch)
    return profiler.profile()


@pytest.fixture
def training():
    """A model, its optimizer, and a step of both."""
    model = Model(CONFIG, max_tokens=200)
    model.init(0)
    optimizer = Adam(model)

    def step(batch):
        loss = model.loss_and_gradients(batch, dropout_seed=1, step=optimizer.steps)
        optimizer.update(1e-3, optimizer.gradient_norm())
        return loss

    return types.SimpleNamespace(model=model, optimizer=optimizer, step=step)


@pytest.fixture
def profile(training):
    return profile_steps(training.model, training.step, [batch_of(LENGTHS)] * 2)


def test_the_table_adds_up_to_the_time_of_the_step(training, monkeypatch):
    """On a clock that moves by one each time it is read, to the last tick."""
    ticks = iter(range(10**9))
    monkeypatch.setattr(step_profile.time, "perf_counter", lambda: float(next(ticks)))
    profile = profile_steps(training.model, training.step, [batch_of(LENGTHS)] * 4)
    calls = sum(row.calls for row in profile.rows if row.label != PYTHON)
    # two readings a call, and the step's own
    assert calls > 40 and profile.seconds == 2 * calls + 1
    assert sum(row.seconds for row in profile.rows) == profile.seconds
    assert all(row.seconds == row.calls for row in profile.rows if row.label != PYTHON)
    assert profile.rows[-1].label == PYTHON and profile.rows[-1].seconds == calls + 1
    assert (profile.steps, profile.tokens) == (4, sum(LENGTHS))


def test_in_real_time_too(training):
    clock = step_profile.time.perf_counter
    start = clock()
    profile = profile_steps(training.model, training.step, [batch_of(LENGTHS)])
    assert 0 < profile.seconds <= clock() - start
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)
    seconds = [row.seconds for row in profile.rows[:-1]]
    assert seconds == sorted(seconds, reverse=True) and min(seconds) > 0


def test_every_product_with_a_weight_is_named_by_the_weight(profile):
    """Each weight is multiplied by in forward, for the input and for itself, in every layer."""
    for role in ("attn_qkv", "attn_out", "ffn_up", "ffn_down"):
        rows = [row for row in profile.rows if row.label.startswith(role + " ")]
        assert sum(row.calls for row in rows) == 3 * CONFIG.n_layer, role
        assert all(row.multiplies for row in rows)
        n, k = Model(CONFIG).shapes[f"layers.0.{role}"]
        each = 2 * sum(LENGTHS) * n * k * CONFIG.n_layer
        assert sum(row.work.flops for row in rows) == 3 * each
        for direction in ("forward", "backward input", "backward weight"):
            flops = [row.work.flops for row in rows if direction in row.label]
            assert sum(flops) == each, (role, direction)


def test_the_arithmetic_of_a_step_is_six_for_each_parameter_and_token(profile):
    T, d = sum(LENGTHS), CONFIG.n_embd
    multiplied = 12 * d * d * CONFIG.n_layer + CONFIG.vocab_size * d
    products = sum(row.work.flops for row in profile.rows if row.multiplies)
    assert products == 6 * multiplied * T
    assert attention_flops(profile) == 14 * pairs_of(LENGTHS) * d * CONFIG.n_layer


def pairs_of(lengths):
    return sum(key <= query for n in lengths for query in range(n) for key in range(n))


def attention_flops(profile):
    """Two products of a head's columns in forward; five in backward, the scores' again."""
    rows = [row for row in profile.rows if row.label.startswith("attention")]
    return sum(row.work.flops for row in rows)


@pytest.mark.parametrize("lengths", [(40, 7, 1, 30), (40,) * 5, (3, 40, 40, 1, 1, 39, 25)])
def test_the_attention_of_all_micro_batches_adds_up_to_that_of_the_batch(lengths, monkeypatch):
    """A micro-batch attends over its own documents, not over those of the whole batch."""
    monkeypatch.setattr(micro_batches, "MICRO_BATCH_TOKENS", CONFIG.context)
    model = Model(CONFIG, max_tokens=sum(lengths))
    model.init(0)
    batch = batch_of(lengths)
    profile = profile_steps(model, model.loss_and_gradients, [batch])
    parts = len(list(micro_batches.micro_batches(batch, model.max_tokens)))
    calls = {row.label: row.calls for row in profile.rows}
    assert parts > 1
    assert calls["attention_forward"] == calls["attention_backward"] == parts * CONFIG.n_layer
    expected = 14 * pairs_of(lengths) * CONFIG.n_embd * CONFIG.n_layer
    assert attention_flops(profile) == expected


def test_every_kernel_of_a_step_has_a_rate(profile):
    """A kernel that is new to the model must be described."""
    unknown = [
        row.label
        for row in profile.rows
        if row.label != PYTHON and not row.work.flops and not row.work.traffic
    ]
    assert unknown == []


def test_the_optimizers_kernels_are_seen(profile):
    rows = {row.label: row for row in profile.rows}
    size = 4 * CONFIG.parameter_count()
    assert rows["norm"].calls == rows["adam"].calls == 1
    assert (rows["norm"].work.traffic, rows["adam"].work.traffic) == (size, 7 * size)


@pytest.mark.parametrize(
    ("name", "arguments", "traffic"),
    [
        ("dropout_add", ("y", "residual", "x", 50, 0.1, 7, 9), 4 * 3 * 50),
        ("dropout_add", ("y", kernels.NULL, "x", 50, 0.1, 7, 9), 4 * 2 * 50),
        ("gelu_forward", ("y", "x", 50), 4 * 2 * 50),
        ("gelu_backward", ("dx", "y", "dy", "x", 50), 4 * 4 * 50),
        ("gelu_backward", ("dx", kernels.NULL, "dy", "x", 50), 4 * 3 * 50),
        ("rmsnorm_forward", ("y", "rstd", "x", "gain", 5, 8, 1e-5), 4 * 2 * 40),
        ("rmsnorm_backward", ("a", "b", "c", "d", "e", "f", 5, 8, 0, 0), 4 * 3 * 40),
        ("rmsnorm_backward", ("a", "b", "c", "d", "e", "f", 5, 8, 1, 0), 4 * 4 * 40),
        # queries and keys of 3 heads of 4 columns, in rows of 36
        ("rope", ("x", "positions", "cos", "sin", 5, 36, 6, 4, 1), 4 * 2 * 5 * 24),
        ("embedding_forward", ("y", "wte", "tokens", 5, 8), 4 * 2 * 40),
        ("embedding_backward", ("dwte", "dy", "tokens", 5, 8), 4 * 3 * 40),
        ("sum", ("x", 50), 4 * 50),
    ],
)
def test_bytes_that_are_read_and_written(name, arguments, traffic):
    call = step_profile._as_call("vidya_" + name, arguments, 1.0)
    work = step_profile._work(call, 4)
    assert (work.flops, work.traffic) == (0, traffic)


def test_a_function_that_nobody_described_is_timed_without_a_rate():
    roles = {(96, 32): "attn_qkv"}
    work = step_profile._work(Call("sparkle", (5, 8), 2, 1.0), 4)
    assert (work.flops, work.traffic) == (0, 0)
    # products are known by their names: integers first are m, n, k
    fused = Call("linear_gelu_forward", (10, 96, 32, 1), 3, 1.0)
    assert step_profile._label(fused, roles) == "attn_qkv gelu forward"
    assert step_profile._work(fused, 4).flops == 2 * 10 * 96 * 32
    other = Call("matmul_forward", (10, 7, 32), 3, 1.0)
    assert step_profile._label(other, roles) == "[7, 32] forward"


# ---------------------------------------------------------------- nothing is changed


def test_looking_changes_no_number(training):
    batches = [batch_of(LENGTHS, seed) for seed in range(4)]
    plain = Model(CONFIG, max_tokens=200)
    plain.init(0)
    adam = Adam(plain)
    expected = []
    for step, batch in enumerate(batches):
        expected.append(plain.loss_and_gradients(batch, dropout_seed=1, step=step))
        adam.update(1e-3, adam.gradient_norm())
    losses = []
    profile_steps(training.model, lambda one: losses.append(training.step(one)), batches)
    assert losses == expected
    assert training.model.flat.tobytes() == plain.flat.tobytes()
    assert training.optimizer.v.tobytes() == adam.v.tobytes()


def test_afterwards_nothing_stands_in(training):
    own, library = training.model._c, kernels.library
    profile_steps(training.model, training.step, [batch_of(LENGTHS)])
    assert training.model._c is own and kernels.library is library

    def fails(batch):
        training.step(batch)
        raise ValueError("a step that fails")

    with pytest.raises(ValueError, match="a step that fails"):
        profile_steps(training.model, fails, [batch_of(LENGTHS)])
    assert training.model._c is own and kernels.library is library


# ---------------------------------------------------------------- in a training


@given(st.integers(0, 100), st.integers(1, 100))
def test_which_steps_are_looked_at(done, left):
    steps = steps_to_watch(done, done + left)
    assert 1 <= len(steps) <= step_profile.STEPS
    assert done <= steps.start and steps.stop <= done + left
    if left >= step_profile.WARM_UP_STEPS + step_profile.STEPS:
        assert steps == range(done + 3, done + 8)


TABLE = re.compile(
    r"^profile: (\d+) steps? of \d+ tokens on average, 1 thread, \w+: ([\d.]+) ms a step, "
    r"[\d,]+ tokens/s\nkernel +calls +ms +share +rate\n((?:.+\n)+?)total +([\d.]+) +100%\n"
    r"of it products with weights +[\d.]+%\nmemory: .+ in use after (\d+) steps",
    re.MULTILINE,
)


def test_a_training_shows_the_table_once_and_trains_as_ever(tmp_path):
    write_corpus(tmp_path)
    given = [*TINY, "--data", "small.txt", "--steps", 10]
    plain = train(*given, "--out", "plain", cwd=tmp_path)
    done = train(*given, "--profile", "--out", "watched", cwd=tmp_path)
    assert "profile" not in plain.stderr
    (table,) = TABLE.finditer(done.stderr)
    assert (table[1], table[5]) == ("5", "8")
    rows = table[3].splitlines()
    milliseconds = [float(re.search(r" ([\d.]+) +[\d.]+%", row)[1]) for row in rows]
    assert sum(milliseconds) == pytest.approx(float(table[4]), abs=0.001 * len(rows))
    assert rows[-1].startswith(PYTHON)
    assert any(re.match(r"ffn_up backward weight .* GFLOP/s$", row) for row in rows)
    assert any(re.match(r"adam .* GB/s$", row) for row in rows)
    assert curve(tmp_path / "watched") == curve(tmp_path / "plain")
    assert weights(tmp_path / "watched") == weights(tmp_path / "plain")
    # asked for once
    more = train("--resume", "--out", "watched", "--steps", 11, cwd=tmp_path)
    assert "profile" not in more.stderr
    again = train("--resume", "--profile", "--out", "watched", "--steps", 13, cwd=tmp_path)
    (table,) = TABLE.finditer(again.stderr)
    assert (table[1], table[5]) == ("1", "13")
