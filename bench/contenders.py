"""Ways to train one model on one corpus: vidya by its recipes, PyTorch by its users' habits.

Every contender has the shape, the tokenizer, the corpus and the held-out text of the same
run folder, and makes its steps in this process. Held-out loss is measured by vidya's own
pass for all of them, over the same windows: PyTorch's weights are copied into vidya's model.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.measuring.held_out_loss import held_out_loss
from vidya.storage.run_folder import RunFolder
from vidya.text.batch_plan import Batch, permutation
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import RunCorpora, prepare
from vidya.training.training_run import TrainingRun

TORCH_WAYS = ("windows", "stream")
"""What a step of PyTorch sees: vidya's windows, padded to the longest, or a packed stream of
all documents, cut at every context."""


class Contender:
    """A way to train, from fresh weights to any number of steps."""

    name: str
    run: TrainingRun
    """Options, corpora and shape; vidya's own model, by which the held-out loss is measured."""

    def step(self, number: int, steps: int) -> int:
        """Make step `number` (from 0) of `steps`; returns the tokens that it learnt from."""
        raise NotImplementedError

    def reset(self, seed: int) -> None:
        """Begin anew with the weights and the order of a seed."""
        raise NotImplementedError

    def bits_per_byte(self, most_tokens: int | None) -> float:
        """Held-out loss of the weights as they are."""
        corpora = self.run.corpora
        assert corpora.held_out is not None
        measured = held_out_loss(
            self.run.model, corpora.tokenizer, corpora.held_out, max_tokens=most_tokens
        )
        assert measured is not None
        return measured.bits_per_byte


class Vidya(Contender):
    """A training as `vidya.train` makes it, by a recipe and options."""

    def __init__(self, name: str, options: TrainOptions, folder: RunFolder, corpora: RunCorpora):
        self.name = name
        self._made = options, folder, corpora
        self.reset(options.seed)

    def reset(self, seed: int) -> None:
        """Begin anew with the weights and the order of a seed."""
        options, folder, corpora = self._made
        seeded = dataclasses.replace(options, seed=seed).settled()
        self.run = TrainingRun(folder, seeded, corpora)

    def step(self, number: int, steps: int) -> int:
        """Forward, backward, clipping and Adam at the rate of the schedule."""
        run = self.run
        if run.options.steps != steps:
            run.options = dataclasses.replace(run.options, steps=steps)
        batch = run.plan.batch(number)
        loss = run.gradients(batch, number)
        if not math.isfinite(loss):
            raise SystemExit(f"error: {self.name} diverged at step {number + 1}")
        run.optimizer.update(run.options.rate(number), run.optimizer.gradient_norm())
        return len(batch.tokens)


class Torch(Contender):
    """The same model in PyTorch: the recipe's first weights, schedule, Adam and clipping."""

    def __init__(
        self, name: str, options: TrainOptions, folder: RunFolder, corpora: RunCorpora, *,
        way: str, tokens: int, compiled: bool, precision: str, threads: int,
    ) -> None:  # fmt: skip
        """Fresh weights, of the seed in the options.

        Args:
            name: as it is printed.
            options: shape, rate, schedule, dropout, seed.
            folder: that the run belongs to.
            corpora: what it trains on.
            way: one of `TORCH_WAYS`.
            tokens: of a step.
            compiled: whether by torch.compile.
            precision: "fp32" or "bf16" (autocast).
            threads: of PyTorch.
        """
        self.name = name
        self._made = dataclasses.replace(options, tokens_per_step=tokens), folder, corpora
        self._way, self._tokens, self._threads = way, tokens, threads
        self._compiled, self._precision = compiled, precision
        self.reset(options.seed)

    def reset(self, seed: int) -> None:
        """Begin anew with the weights and the order of a seed."""
        import torch
        from torch_model import TorchModel

        options, folder, corpora = self._made
        self.run = TrainingRun(folder, dataclasses.replace(options, seed=seed).settled(), corpora)
        torch.manual_seed(seed)
        config = self.run.model.config
        self._model: Any = TorchModel(config)
        with torch.no_grad():
            for ours, theirs in self._pairs():
                theirs.copy_(torch.from_numpy(ours))
        its = self.run.options
        betas = its.in_force("beta1"), its.in_force("beta2")
        self._optimizer = torch.optim.Adam(self._model.parameters(), betas=betas, fused=True)
        self._run: Any = torch.compile(self._model) if self._compiled else self._model
        windows = _windows if self._way == "windows" else _stream
        self._batches = windows(self.run, max(1, self._tokens // config.context))

    def _pairs(self) -> Iterator[tuple[NDArray[Any], Any]]:
        """Every parameter of vidya's model beside PyTorch's."""
        theirs = dict(self._model.named_parameters())
        for name, ours in self.run.model.parameters.items():
            yield ours, theirs[f"{name}.weight"]

    def step(self, number: int, steps: int) -> int:
        """Forward, backward, clipping and Adam at the rate of the schedule."""
        import torch

        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        run = self.run
        if run.options.steps != steps:
            run.options = dataclasses.replace(run.options, steps=steps)
        for group in self._optimizer.param_groups:
            group["lr"] = run.options.rate(number)
        inputs, targets = self._batches(number)
        cast = (
            torch.autocast("cpu", dtype=torch.bfloat16)
            if self._precision == "bf16"
            else contextlib.nullcontext()
        )
        with cast:
            loss = self._run(torch.from_numpy(inputs), torch.from_numpy(targets))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), run.options.clip)
        self._optimizer.step()
        return int((targets != IGNORED).sum())

    def bits_per_byte(self, most_tokens: int | None) -> float:
        """Held-out loss of the weights as they are."""
        for ours, theirs in self._pairs():
            ours[...] = theirs.detach().numpy()
        return super().bits_per_byte(most_tokens)


IGNORED = -100
"""PyTorch's mark of a target that is not counted."""
_Batches = Callable[[int], tuple[NDArray[np.int64], NDArray[np.int64]]]


def padded(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets [windows, longest], padded on the right with targets `IGNORED`."""
    lengths = np.diff(batch.offsets)
    inside = np.arange(lengths.max()) < lengths[:, None]
    inputs = np.zeros(inside.shape, np.int64)
    targets = np.full(inside.shape, IGNORED, np.int64)
    inputs[inside] = batch.tokens
    targets[inside] = np.where(batch.targets < 0, IGNORED, batch.targets)
    return inputs, targets


def _windows(run: TrainingRun, _: int) -> _Batches:
    return lambda number: padded(run.plan.batch(number))


def stream_rows(tokens: int, context: int, rows: int, seed: int, step: int) -> NDArray[np.int64]:
    """Where the rows of a step begin in a stream of `tokens`: blocks in an order of their own.

    Blocks of `context` predictions lie end to end; every pass has its own order, and a
    rest that fills no step is left out.
    """
    steps = (tokens - 1) // context // rows
    if not steps:
        raise SystemExit("error: the corpus is shorter than a step")
    epoch, at = divmod(step, steps)
    order = permutation((tokens - 1) // context, seed, epoch)
    return order[at * rows : (at + 1) * rows].astype(np.int64) * context


def _stream(run: TrainingRun, rows: int) -> _Batches:
    tokens, context, seed = run.corpora.train.tokens, run.model.config.context, run.options.seed

    def batch(number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts = stream_rows(len(tokens), context, rows, seed, number)
        ids = tokens[starts[:, None] + np.arange(context + 1)].astype(np.int64)
        return np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:])

    return batch


@contextlib.contextmanager
def prepared(path: Path, options: TrainOptions) -> Iterator[tuple[RunFolder, RunCorpora]]:
    """The tokenizer and caches that all contenders share; SystemExit without held-out text."""
    with RunFolder(path) as folder:
        corpora = prepare(folder, options, lambda _: None, tokenizer_hash=None)
        if corpora.held_out is None:
            raise SystemExit("error: nothing is held out: give --val")
        if options.threads not in ("auto", "measure"):
            kernels.set_num_threads(int(options.threads))
        yield folder, corpora
