import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text.batch_plan import (
    Batch,
    BatchPlan,
    StepSize,
    cut_windows,
    eval_batches,
    pack_by_tokens,
    permutation,
)
from vidya.text.token_documents import TokenDocuments


def cache_of(lengths: list[int]) -> TokenDocuments:
    """Documents of these lengths; token i of the corpus is i."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenDocuments(np.arange(offsets[-1], dtype=np.uint16), offsets)


def expected_windows(cache: TokenDocuments, context: int) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of every window, the obvious way."""
    windows = []
    for begin, end in pairwise(cache.offsets.tolist()):
        tokens = cache.tokens[begin:end].tolist()
        for start in range(0, len(tokens) - 1, context):
            targets = tokens[start + 1 : start + 1 + context]
            windows.append((tokens[start : start + len(targets)], targets))
    return windows


def windows_of(batch: Batch) -> list[tuple[list[int], list[int]]]:
    check(batch)
    return [
        (batch.tokens[a:b].tolist(), batch.targets[a:b].tolist())
        for a, b in pairwise(batch.offsets.tolist())
    ]


def check(batch: Batch) -> None:
    assert (batch.tokens.dtype, batch.targets.dtype) == (np.int32, np.int32)
    assert batch.offsets.dtype == np.int64
    assert batch.tokens.flags.c_contiguous
    assert batch.targets.flags.c_contiguous
    assert len(batch.tokens) == len(batch.targets) == batch.offsets[-1]
    assert batch.offsets[0] == 0
    assert (np.diff(batch.offsets) > 0).all()


some_lengths = st.lists(st.integers(0, 30), min_size=1, max_size=30).filter(lambda x: max(x) > 1)
contexts = st.integers(1, 12)


# ---------------------------------------------------------------- windows


def test_windows_share_one_token():
    windows = cut_windows(np.array([0, 8, 9, 9, 12]), 3)
    assert windows.starts.tolist() == [0, 3, 6, 9]
    assert windows.lengths.tolist() == [3, 3, 1, 2]


@given(some_lengths, contexts)
def test_every_token_but_the_first_is_predicted_once(lengths, context):
    cache = cache_of(lengths)
    windows = [w for b in eval_batches(cache, context, 10) for w in windows_of(b)]
    assert windows == expected_windows(cache, context)
    predicted = [t for _, targets in windows for t in targets]
    firsts = set(cache.offsets[:-1].tolist())
    assert predicted == [t for t in cache.tokens.tolist() if t not in firsts]


@pytest.mark.parametrize("lengths", [[], [0], [1], [1, 0, 1]])
def test_nothing_to_predict(lengths):
    cache = TokenDocuments(np.zeros(5, np.uint16), np.cumsum([0, *lengths]))
    with pytest.raises(UserError, match="no document has two tokens"):
        BatchPlan(cache, 4, tokens_per_step=4)
    with pytest.raises(UserError, match="no document has two tokens"):
        next(eval_batches(cache, 4, 4))


def test_one_document_of_two_tokens():
    plan = BatchPlan(cache_of([2]), 512, tokens_per_step=1024)
    assert (plan.tokens_in_epoch, plan.max_tokens, plan.steps_in_epoch(3)) == (1, 1, 1)
    assert [windows_of(plan.batch(step)) for step in (0, 9)] == [[([0], [1])]] * 2


# ---------------------------------------------------------------- packing


@given(st.lists(st.integers(1, 12), min_size=1), st.integers(1, 40))
def test_packing_is_greedy(lengths, limit):
    bounds = pack_by_tokens(np.array(lengths, dtype=np.int64), limit)
    expected, size = [0], 0
    for index, length in enumerate(lengths):
        if size and size + length > limit:
            expected.append(index)
            size = 0
        size += length
    assert bounds.tolist() == [*expected, len(lengths)]


@given(st.integers(0, 50), st.integers(-5, 2**70), st.integers(0, 5))
def test_permutation(count, seed, stream):
    order = permutation(count, seed, stream)
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == permutation(count, seed, stream).tolist()


def test_the_order_of_data_is_the_same_for_ever():
    # Written down: a run resumed with another version must see the same data.
    assert permutation(10, 0, 0).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert permutation(10, 0, 1).tolist() == [5, 3, 7, 8, 2, 4, 1, 0, 6, 9]
    assert permutation(10, 1, 0).tolist() == [3, 5, 2, 9, 7, 0, 8, 6, 1, 4]


# ---------------------------------------------------------------- the plan

limits = st.one_of(
    st.builds(lambda n: {"tokens_per_step": n}, st.integers(1, 40)),
    st.builds(lambda n: {"docs_per_step": n}, st.integers(1, 8)),
)


@given(some_lengths, contexts, limits, st.integers(0, 5))
def test_an_epoch_is_every_window_once(lengths, context, limit, seed):
    cache = cache_of(lengths)
    plan = BatchPlan(cache, context, **limit, seed=seed)
    step = 0
    for epoch in range(3):
        windows = []
        for index in range(plan.steps_in_epoch(epoch)):
            assert plan.position(step) == (epoch, index)
            batch = plan.batch(step)
            windows += windows_of(batch)
            assert 1 <= len(batch.tokens) <= plan.max_tokens
            step += 1
        assert sorted(windows) == sorted(expected_windows(cache, context))
        assert sum(len(inputs) for inputs, _ in windows) == plan.tokens_in_epoch
        assert len(windows) == plan.windows_in_epoch


@given(some_lengths, contexts, limits, st.permutations(range(12)))
def test_a_step_depends_on_its_number_alone(lengths, context, limit, steps):
    cache = cache_of(lengths)
    straight = BatchPlan(cache, context, **limit)
    batches = [windows_of(straight.batch(step)) for step in range(12)]
    plan = BatchPlan(cache, context, **limit)
    for step in steps:
        assert windows_of(plan.batch(step)) == batches[step]
    for step in (3, 11):
        fresh = BatchPlan(cache, context, **limit)
        assert windows_of(fresh.batch(step)) == batches[step]


def test_epochs_and_seeds_differ():
    cache = cache_of([5] * 200)

    def order(seed: int, epoch: int) -> list[int]:
        plan = BatchPlan(cache, 8, docs_per_step=200, seed=seed)
        return plan.batch(epoch).tokens.tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert len({tuple(o) for o in orders}) == 3
    assert all(sorted(o) == sorted(orders[0]) for o in orders)
    assert sorted(orders[0]) != orders[0]


@given(some_lengths, contexts, st.integers(1, 40))
def test_a_step_takes_no_more_tokens_than_asked(lengths, context, limit):
    plan = BatchPlan(cache_of(lengths), context, tokens_per_step=limit)
    for step in range(plan.steps_in_epoch(0)):
        batch = plan.batch(step)
        assert len(batch.tokens) <= limit or len(batch.offsets) == 2


def test_one_document_a_step():
    plan = BatchPlan(cache_of([4, 2, 7]), 8, docs_per_step=1)
    assert plan.steps_in_epoch(0) == 3
    assert sorted(len(plan.batch(step).tokens) for step in range(3)) == [1, 3, 6]
    assert plan.max_tokens == 6


def test_limits_are_checked():
    cache = cache_of([5])
    with pytest.raises(UserError, match="exactly one"):
        BatchPlan(cache, 4)
    with pytest.raises(UserError, match="exactly one"):
        BatchPlan(cache, 4, tokens_per_step=4, docs_per_step=1)
    with pytest.raises(UserError, match="at least 1, not 0"):
        BatchPlan(cache, 4, tokens_per_step=0)
    with pytest.raises(UserError, match="at least 1, not -2"):
        BatchPlan(cache, 4, docs_per_step=-2)
    with pytest.raises(UserError, match="context must be at least 1"):
        BatchPlan(cache, 0, docs_per_step=1)
    with pytest.raises(UserError, match="tokens per step"):
        next(eval_batches(cache, 4, 0))
    with pytest.raises(ValueError, match="negative"):
        BatchPlan(cache, 4, docs_per_step=1).batch(-1)


def test_planning_a_large_corpus_is_quick():
    lengths = np.random.Generator(np.random.Philox(0)).integers(2, 600, 500_000)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    cache = TokenDocuments(np.broadcast_to(np.uint16(0), offsets[-1]), offsets)
    start = time.process_time()
    plan = BatchPlan(cache, 512, tokens_per_step=1024)
    steps = plan.steps_in_epoch(0)
    assert time.process_time() - start < 2.0
    assert 0.6 < plan.tokens_in_epoch / (1024 * steps) <= 1


# ---------------------------------------------------------------- evaluation


@given(some_lengths, contexts, st.integers(1, 40), st.integers(0, 100))
def test_evaluation_takes_the_first_windows(lengths, context, limit, most):
    cache = cache_of(lengths)
    batches = list(eval_batches(cache, context, limit, most))
    windows = [w for batch in batches for w in windows_of(batch)]
    everything = expected_windows(cache, context)
    assert windows == everything[: len(windows)]
    taken = sum(len(inputs) for inputs, _ in windows)
    assert len(windows) == 1 or taken <= most
    if len(windows) < len(everything):
        assert taken + len(everything[len(windows)][0]) > most
    assert all(len(b.tokens) <= limit or len(b.offsets) == 2 for b in batches)


def test_pages_are_released_after_each_batch():
    released = []

    class Counting(TokenDocuments):
        def release(self) -> None:
            released.append(None)

    cache = cache_of([9, 9, 9])
    counting = Counting(cache.tokens, cache.offsets)
    plan = BatchPlan(counting, 4, docs_per_step=2)
    plan.batch(0)
    plan.batch(1)
    assert len(released) == 2
    list(eval_batches(counting, 4, 8))
    assert len(released) == 5


@given(some_lengths, contexts, st.integers(1, 7))
def test_windows_do_not_depend_on_how_many_documents_are_cut_at_a_time(lengths, context, some):
    offsets = cache_of(lengths).offsets
    whole = cut_windows(offsets, context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidya.text.batch_plan._DOCUMENTS", some)
        parts = cut_windows(offsets, context)
    assert np.array_equal(whole.starts, parts.starts)
    assert np.array_equal(whole.lengths, parts.lengths)


def test_what_memory_holds_of_a_corpus():
    """16 bytes a window and 8 a batch, as the module says, and no more than 32 on the way."""
    offsets = np.arange(1_000_001, dtype=np.int64) * 20
    plan = BatchPlan(TokenDocuments(np.zeros(1, np.uint16), offsets), 256, tokens_per_step=512)
    tracemalloc.start()
    plan = BatchPlan(TokenDocuments(np.zeros(1, np.uint16), offsets), 256, tokens_per_step=512)
    plan.steps_in_epoch(0)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batches = plan.steps_in_epoch(0)
    assert plan.windows_in_epoch == 1_000_000
    assert now <= 16e6 + 8 * batches + 1e5
    assert plan.nbytes == pytest.approx(now + offsets.nbytes, abs=1e5)
    assert peak <= 40e6


# ---------------------------------------------------------------- a size that changes


sizes = st.tuples(st.integers(1, 40), st.booleans())


@given(some_lengths, contexts, sizes, st.lists(st.tuples(st.integers(1, 25), sizes), max_size=3))
def test_a_size_that_changes_leaves_nothing_out_and_repeats_nothing(lengths, context, size, later):
    """Against the obvious way: the windows of a pass in order, taken step by step."""
    cache = cache_of(lengths)

    def sized(first, size):
        number, by_tokens = size
        return StepSize(first, number if by_tokens else None, None if by_tokens else number)

    steps = sorted({first: size for first, size in later}.items())
    changes = [sized(first, size) for first, size in steps]
    first = sized(0, size)
    limits = {"tokens_per_step": first.tokens_per_step, "docs_per_step": first.docs_per_step}
    plan = BatchPlan(cache, context, **limits, seed=3, changes=changes)
    windows, at, epoch, left = expected_windows(cache, context), 0, -1, []
    for step in range(40):
        if not left:
            epoch, at = epoch + 1, 0
            left = [windows[i] for i in permutation(len(windows), 3, epoch)]
        now = [one for one in [first, *changes] if one.first_step <= step][-1]
        count = now.docs_per_step or 1
        if now.tokens_per_step is not None:
            while count < len(left) and (
                sum(len(one[0]) for one in left[: count + 1]) <= now.tokens_per_step
            ):
                count += 1
        taken, left = left[:count], left[count:]
        assert windows_of(plan.batch(step)) == taken
        assert plan.position(step) == (epoch, at)
        at += 1
        if step >= plan.changed_at:
            assert sum(len(one[0]) for one in taken) <= plan.max_tokens
    late = BatchPlan(cache, context, **limits, seed=3, changes=changes)
    assert late.position(39) == (epoch, at - 1)
    assert windows_of(late.batch(39)) == taken
