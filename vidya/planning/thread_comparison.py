"""A training step timed at several numbers of threads, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vidya.errors import UserError
from vidya.model.presets import preset
from vidya.training.thread_choice import Timing

if TYPE_CHECKING:
    from vidya.model.config import ModelConfig
    from vidya.text.batch_plan import Batch

DROPOUT = 0.1


@dataclass(frozen=True)
class ThreadOptions:
    """Time a training step with several numbers of threads and say which to use."""

    preset: tuple[str, ...] = ("10m", "25m")
    """Model sizes."""
    threads: tuple[int, ...] = (1, 2, 4)
    """Numbers of threads. More than there are cores show what that costs."""
    precision: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
    """Of the products."""
    tokens: int = 512
    """Tokens of a step, in documents of the model's context."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def check(self) -> None:
        """Raise `UserError` for what cannot be."""
        for name in ("preset", "threads", "precision"):
            values = getattr(self, name)
            if not values:
                raise UserError(f"--{name} needs at least one value")
            if len(set(values)) < len(values):
                raise UserError(f"--{name} names a value twice: {' '.join(map(str, values))}")
        for each in self.preset:
            preset(each)
        from vidya.kernels import MAX_THREADS

        for number in self.threads:
            if not 1 <= number <= MAX_THREADS:
                raise UserError(f"--threads must be between 1 and {MAX_THREADS}, not {number}")
        if not 1 <= self.tokens <= 1_000_000:
            raise UserError(f"--tokens must be between 1 and 1000000, not {self.tokens}")


@dataclass(frozen=True)
class Comparison:
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

    def plain(self) -> dict[str, Any]:
        """The same as JSON values."""
        return dataclasses.asdict(self)


def comparisons(options: ThreadOptions, say: Callable[[str], None]) -> Iterator[Comparison]:
    """Time each preset in each precision. The kernels' threads are left at what they were."""
    from vidya import kernels

    cores, before = kernels.usable_cores(), kernels.get_num_threads()
    try:
        for name in options.preset:
            for precision in options.precision:
                say(f"timing {name} in {precision} with {_listed(options.threads)} threads")
                yield _compare(name, precision, options, cores)
    finally:
        kernels.set_num_threads(before)


def _listed(numbers: tuple[int, ...]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


def _compare(name: str, precision: str, options: ThreadOptions, cores: int) -> Comparison:
    from vidya.model.adam import Adam
    from vidya.model.transformer import Model
    from vidya.training import thread_choice

    size = preset(name)
    config = size.model(256 + 3 + size.merges, DROPOUT)
    model = Model(config, max_tokens=max(options.tokens, config.context), precision=precision)
    model.init(0)
    optimizer, batch = Adam(model), _documents(config, options.tokens)

    def step() -> None:
        model.loss_and_gradients(batch, dropout_seed=0)
        optimizer.update(1e-4, optimizer.gradient_norm())

    timings = thread_choice.measure(step, sorted(options.threads))
    sensible = [timing for timing in timings if timing.threads <= cores]
    chosen = thread_choice.fastest(sensible) if sensible else None
    return Comparison(name, precision, options.tokens, tuple(timings), cores, chosen)


def _documents(config: ModelConfig, tokens: int) -> Batch:
    """Random ids in documents as long as the context; the last may be shorter."""
    import numpy as np

    from vidya.text.batch_plan import Batch

    ids = np.random.default_rng(0).integers(0, config.vocab_size, tokens + 1).astype(np.int32)
    offsets = np.append(np.arange(0, tokens, config.context), tokens).astype(np.int64)
    return Batch(ids[:-1].copy(), ids[1:].copy(), offsets)
