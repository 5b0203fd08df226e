"""A training step timed at several numbers of threads, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.presets import preset
from vidya.model.transformer import Model
from vidya.text.batch_plan import Batch
from vidya.training import thread_choice
from vidya.training.thread_choice import Timing


@dataclass(frozen=True)
class ThreadComparison:
    """One preset in one precision with every number of threads."""

    preset: str
    precision: str
    tokens: int
    timings: tuple[Timing, ...]
    cores: int
    chosen: int | None
    """The number to use; None when only more threads than cores were timed."""

    def lines(self) -> list[str]:
        """The comparison as a table, and what is chosen."""
        base = self.timings[0]
        lines = [f"{self.preset} {self.precision}, steps of {self.tokens:,} tokens"]
        for timing in self.timings:
            lines.append(
                f"  {timing.threads:3} thread{'s' if timing.threads > 1 else ' '} "
                f"{timing.seconds:8.3f} s a step {self.tokens / timing.seconds:9,.0f} tokens/s "
                f"{base.seconds / timing.seconds:6.2f} x {base.threads} thread"
                + ("s" if base.threads > 1 else "")
                + ("   chosen" if timing.threads == self.chosen else "")
                + (f"   more than the {self.cores} cores" if timing.threads > self.cores else "")
            )
        return lines


def require_threads(threads: Sequence[int]) -> None:
    """Raise `UserError` for a number of threads that cannot be."""
    most = kernels.MAX_THREADS
    for number in threads:
        if not 1 <= number <= most:
            raise UserError(f"--threads must be between 1 and {most}, not {number}")


def compare_threads(
    presets: Sequence[str], precisions: Sequence[str], threads: Sequence[int], tokens: int,
    say: Callable[[str], None],
) -> Iterator[ThreadComparison]:  # fmt: skip
    """Time each preset in each precision. The kernels' threads are left at what they were."""
    before = kernels.get_num_threads()
    try:
        for name, precision in itertools.product(presets, precisions):
            say(f"timing {name} in {precision} with {thread_choice.listed(threads)} threads")
            yield _compare(name, precision, sorted(threads), tokens)
    finally:
        kernels.set_num_threads(before)


def _compare(name: str, precision: str, threads: list[int], tokens: int) -> ThreadComparison:
    size, cores = preset(name), kernels.usable_cores()
    config = size.model(256 + 3 + size.merges, dropout=0.1)
    model = Model(config, max_tokens=max(tokens, config.context), precision=precision)
    model.init(0)
    optimizer, batch = Adam(model), _random_documents(config, tokens)

    def step() -> None:
        model.loss_and_gradients(batch, dropout_seed=0)
        optimizer.update(1e-4, optimizer.gradient_norm())

    timings = thread_choice.time_threads(step, threads)
    sensible = [timing for timing in timings if timing.threads <= cores]
    chosen = thread_choice.fastest(sensible) if sensible else None
    return ThreadComparison(name, precision, tokens, tuple(timings), cores, chosen)


def _random_documents(config: ModelConfig, tokens: int) -> Batch:
    """Random ids in documents as long as the context; the last may be shorter."""
    ids = np.random.default_rng(0).integers(0, config.vocab_size, tokens + 1).astype(np.int32)
    offsets = np.append(np.arange(0, tokens, config.context), tokens).astype(np.int64)
    return Batch(ids[:-1].copy(), ids[1:].copy(), offsets)
