"""Where the time of a training step goes: a table of kernels (`vidya.train --profile`).

For the steps that are looked at, a stand-in takes the place of the library of C
functions and notes every call. Nothing is computed differently, and outside of these
steps nothing is slower.

`DESCRIBED` says what arithmetic or memory traffic a call makes. A function that is not
in it is timed all the same, and shown without a rate.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidya import kernels
from vidya.kernels import flat_buffers
from vidya.model.transformer import Model
from vidya.text.batch_plan import Batch

WARM_UP_STEPS = 3
STEPS = 5
"""Steps that --profile looks at, after the warm-up."""
PYTHON = "Python and batches"


@dataclass(frozen=True)
class Work:
    """What a call does, where it is known."""

    flops: float = 0.0
    """Multiplications and additions."""
    traffic: float = 0.0
    """Bytes that it must read and write at least."""


@dataclass(frozen=True)
class Call:
    """One call of a C function."""

    function: str
    """Its name, without `vidya_`."""
    sizes: tuple[int, ...]
    """Its integer arguments, in their order."""
    arrays: int
    """Pointers among its arguments that are not NULL."""
    seconds: float
    pairs: int = 0
    """Of attention: pairs of a token and one that it attends to, itself included."""


# ---------------------------------------------------------------- what kernels do

Describe = Callable[[Call, int], Work]
"""The work of a call on numbers of so many bytes: 4, or 8 in double."""


def _flops(count: Callable[..., float]) -> Describe:
    """So much arithmetic, from the integer arguments in their order."""
    return lambda call, _: Work(flops=count(*call.sizes))


def _traffic(reals: Callable[..., float]) -> Describe:
    """So many numbers read or written, from the integer arguments in their order."""
    return lambda call, number: Work(traffic=reals(*call.sizes) * number)


def _each_array(call: Call, number: int) -> Work:
    """Every array is passed over once; the first integer is its length."""
    return Work(traffic=call.arrays * call.sizes[0] * number)


def _attention(products: int) -> Describe:
    """So many products of hd columns for each pair and head; the integers are n_docs, H, hd."""
    return lambda call, _: Work(flops=2 * products * call.sizes[1] * call.sizes[2] * call.pairs)


DESCRIBED: dict[str, Describe] = {
    "embedding_forward": _traffic(lambda T, d: 2 * T * d),
    "embedding_backward": _traffic(lambda T, d: 3 * T * d),
    "rmsnorm_forward": _traffic(lambda T, d: 2 * T * d),
    "rmsnorm_statistics": _traffic(lambda T, d: T * d),
    # adding to dx reads it first
    "rmsnorm_backward": _traffic(lambda T, d, add_dx, _: (4 if add_dx else 3) * T * d),
    "rope": _traffic(lambda T, row_stride, n_rotated, hd, inverse: 2 * T * n_rotated * hd),
    "attention_forward": _attention(2),
    "attention_backward": _attention(5),
    "gelu_forward": _each_array,
    "gelu_backward": _each_array,
    "dropout_add": _each_array,
    "linear_cross_entropy_forward": _flops(lambda T, d, V, *_: 2 * T * d * V),
    "linear_cross_entropy_backward": _flops(lambda T, d, V, *_: 6 * T * d * V),
    "sum": _each_array,
    "norm": _each_array,
    # parameters and two moments are read and written, gradients read
    "adam": _traffic(lambda n, step: 7 * n),
}
"""By C function, without `vidya_`: its work."""
_matmul = _flops(lambda m, n, k, *_: 2 * m * n * k)


def is_matmul(function: str) -> bool:
    """Whether a function multiplies by a weight: its first integers are then m, n and k."""
    words = function.split("_")
    return function not in DESCRIBED and bool({"matmul", "linear"} & set(words))


def _work(call: Call, number: int) -> Work:
    describe = _matmul if is_matmul(call.function) else DESCRIBED.get(call.function)
    return describe(call, number) if describe else Work()


def _label(call: Call, roles: dict[tuple[int, int], str]) -> str:
    """What a call is called in the table: its function, or the weight and what is done to it.

    `roles` says what a weight matrix of a shape [out, in] is called.
    """
    if not is_matmul(call.function):
        return call.function
    shape = call.sizes[1], call.sizes[2]
    done = [word for word in call.function.split("_") if word not in ("matmul", "linear")]
    return " ".join([roles.get(shape, f"[{shape[0]}, {shape[1]}]"), *done])


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    """A line of the table: averages of one step."""

    label: str
    calls: float
    seconds: float
    work: Work
    multiplies: bool
    """Whether it is a product with a weight matrix, the projection to logits included."""


@dataclass(frozen=True)
class Profile:
    """Where the time of a step went."""

    steps: int
    """That were looked at."""
    tokens: float
    """Of a step, on average."""
    seconds: float
    """Of a step: the sum of the rows."""
    rows: list[Row]
    """Longest first; what is not in a kernel last."""

    @property
    def matmul_share(self) -> float:
        """Part of the step that is products with weight matrices."""
        return sum(row.seconds for row in self.rows if row.multiplies) / self.seconds

    def lines(self) -> list[str]:
        """The table as text."""
        width, threads = max(len(row.label) for row in self.rows), kernels.get_num_threads()
        shown = [
            f"profile: {self.steps} step{'s' * (self.steps > 1)} of {self.tokens:,.0f} tokens "
            f"on average, {threads} thread{'s' * (threads > 1)}, {kernels.get_isa()}: "
            f"{self.seconds * 1e3:.1f} ms a step, {self.tokens / self.seconds:,.0f} tokens/s",
            f"{'kernel':{width}}   calls        ms   share  rate",
        ]
        shown += [
            f"{row.label:{width}} {row.calls:7.0f} {row.seconds * 1e3:9.3f} "
            f"{row.seconds / self.seconds:6.1%}  {_rate(row)}".rstrip()
            for row in self.rows
        ]
        shown.append(f"{'total':{width}} {'':7} {self.seconds * 1e3:9.3f} {1:6.0%}")
        shown.append(f"{'of it products with weights':{width + 18}} {self.matmul_share:6.1%}")
        return shown


def _rate(row: Row) -> str:
    if row.work.flops and row.seconds:
        return f"{row.work.flops / row.seconds / 1e9:7.1f} GFLOP/s"
    if row.work.traffic and row.seconds:
        return f"{row.work.traffic / row.seconds / 1e9:7.1f} GB/s"
    return ""


# ---------------------------------------------------------------- looking


def steps_to_watch(done: int, total: int) -> range:
    """The steps that --profile looks at, in a run that goes from step `done` to `total`.

    A run too short for the warm-up has at least its last step looked at.
    """
    first = done + min(WARM_UP_STEPS, max(0, total - done - 1))
    return range(first, min(total, first + STEPS))


class StepProfiler:
    """Collects what the kernels of some steps take."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._roles = {
            (shape[0], shape[1]): name.split(".")[-1]
            for name, shape in model.shapes.items()
            if name.startswith("layers.") and len(shape) == 2
        }
        self._noted: dict[tuple[str, bool], list[tuple[float, Work]]] = defaultdict(list)
        self._seconds, self._tokens = 0.0, 0
        self.steps = 0
        """Steps looked at so far."""

    @contextmanager
    def watching(self, batch: Batch) -> Iterator[None]:
        """Look at the one step on `batch` that is made inside the block.

        A step that raises is not counted.
        """
        calls: list[Call] = []
        with _standing_in(self._model, calls):
            start = time.perf_counter()
            yield
            seconds = time.perf_counter() - start
        for call in calls:
            multiplies = is_matmul(call.function) or "cross_entropy" in call.function
            work = _work(call, self._model.dtype.itemsize)
            self._noted[_label(call, self._roles), multiplies].append((call.seconds, work))
        outside = seconds - sum(call.seconds for call in calls)
        self._noted[PYTHON, False].append((outside, Work()))
        self._seconds += seconds
        self._tokens += len(batch.tokens)
        self.steps += 1

    def profile(self) -> Profile:
        """Averages over the steps looked at, of which there must be one."""
        n, rows = self.steps, []
        for (label, multiplies), noted in self._noted.items():
            seconds = sum(taken for taken, _ in noted)
            flops = sum(work.flops for _, work in noted)
            traffic = sum(work.traffic for _, work in noted)
            work = Work(flops / n, traffic / n)
            rows.append(Row(label, len(noted) / n, seconds / n, work, multiplies))
        rows.sort(key=lambda row: (row.label == PYTHON, -row.seconds))
        return Profile(n, self._tokens / n, self._seconds / n, rows)


class _StandIn:
    """A library of C functions that notes its calls."""

    def __init__(self, library: Any, calls: list[Call]) -> None:
        self._library, self._calls = library, calls

    def __getattr__(self, name: str) -> Any:
        function, calls, clock = getattr(self._library, name), self._calls, time.perf_counter
        if not callable(function):
            return function

        def noted(*arguments: Any) -> Any:
            start = clock()
            result = function(*arguments)
            calls.append(_as_call(name, arguments, clock() - start))
            return result

        setattr(self, name, noted)  # asked once
        return noted


@contextmanager
def _standing_in(model: Model, calls: list[Call]) -> Iterator[None]:
    """Put stand-ins before the model's library and before the one of the flat buffers."""
    own, library = model._c, kernels.library
    model._c = _StandIn(own, calls)
    vars(flat_buffers)["library"] = lambda dtype: _StandIn(library(dtype), calls)
    try:
        yield
    finally:
        model._c, vars(flat_buffers)["library"] = own, library


def _as_call(name: str, arguments: tuple[Any, ...], seconds: float) -> Call:
    numbers = (int, float, np.integer, np.floating)
    return Call(
        name.removeprefix("vidya_"),
        tuple(int(value) for value in arguments if isinstance(value, (int, np.integer))),
        sum(not isinstance(value, numbers) and bool(value) for value in arguments),
        seconds,
        _pairs(arguments) if "attention" in name else 0,
    )


def _pairs(arguments: tuple[Any, ...]) -> int:
    """Pairs of tokens in one call of attention, which may be over a part of the batch.

    Its offsets stand before the first integer, the number of documents. They are read now:
    after the call their memory may hold something else.
    """
    first = next(i for i, value in enumerate(arguments) if isinstance(value, int))
    lengths = np.diff(list(arguments[first - 1][0 : arguments[first] + 1]))
    return int((lengths * (lengths + 1) // 2).sum())
