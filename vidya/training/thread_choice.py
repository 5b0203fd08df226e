"""How many threads a command uses: as told, or measured on this machine and remembered.

The results of a training do not depend on its threads, its speed does: a small model
may gain nothing from the last of many cores. `choose` times steps of the run itself at
each count that could be best, takes the fastest, and keeps what it found in a file of
the user's cache folder, so that the next such run starts at once.
"""

from __future__ import annotations

import datetime
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import vidya
from vidya import kernels
from vidya.errors import UserError
from vidya.system import processor, user_cache
from vidya.system.atomic_file import recall_json, remember_json, remove_stale
from vidya.terminal.streams import say

Threads = Literal["auto", "measure"] | int
"""auto: measured once and remembered; measure: measured anew; or the number to use."""
LEAST_ROUNDS, MOST_ROUNDS = 2, 4
"""A round times every number of threads twice, there and back."""
SECONDS = 6.0
"""Time after which no more than `LEAST_ROUNDS` rounds are made."""
TURN_SECONDS = 0.05
"""Short steps are timed several at a time, for this long."""
HOPELESS = 1.5
"""A count whose best time is this many times the fastest median is timed no more."""
CLOSE = 1.03
"""Fewer threads are taken when they need at most this many times the fastest's time."""
MOST_REMEMBERED = 100


def check(asked: Threads) -> None:
    """Raise `UserError` for a number of threads that cannot be."""
    most = kernels.MAX_THREADS
    if isinstance(asked, int) and not 1 <= asked <= most:
        raise UserError(f"--threads must be auto or between 1 and {most}, not {asked}")


def use(asked: Threads, tell: Callable[[str], None] = say) -> int:
    """Set the kernels' threads without measuring: a number, or all cores; returns how many.

    More threads than cores that this process may use get a warning: a line for `tell`.

    Raises:
        UserError: the number of threads cannot be.
    """
    check(asked)
    cores = kernels.usable_cores()
    number = asked if isinstance(asked, int) else cores
    if number > cores:
        those = "one core" if cores == 1 else f"{cores} cores"
        tell(
            f"warning: --threads {number} is more than the {those} that this process may use: "
            "expect it to be slower, not faster"
        )
    kernels.set_num_threads(number)
    return number


# ---------------------------------------------------------------- choosing


@dataclass(frozen=True)
class Workload:
    """What is timed: a choice holds for the same work on the same machine."""

    model: dict[str, int | float]
    """The architecture (`vidya.model.config.describe`)."""
    tokens: int
    """Tokens of the step that is timed."""
    precision: str


@dataclass(frozen=True)
class Timing:
    """The speed at one number of threads."""

    threads: int
    seconds: float
    """Median time of a step."""


def choose(
    asked: Threads,
    workload: Workload,
    step: Callable[[], object],
    say: Callable[[str], None],
) -> int:
    """Set the kernels' threads for a training and return how many.

    Args:
        asked: what the user wants; a number is taken as it is.
        workload: what `step` does.
        step: makes one step whose effect does not matter.
        say: takes lines that tell the user what is measured and chosen.
    """
    if isinstance(asked, int):
        kernels.set_num_threads(asked)
        return asked
    cores = min(kernels.usable_cores(), kernels.MAX_THREADS)
    if cores == 1:
        kernels.set_num_threads(1)
        return 1
    key = _key(workload, cores)
    if asked == "auto" and (known := _recall(key, cores)):
        number, day = known
        say(f"threads: {number} (measured on {day}; --threads measure measures again)")
    else:
        counts = candidates(cores)
        say(f"threads: timing steps of {workload.tokens:,} tokens with {listed(counts)} threads")
        timings = time_threads(step, counts)
        number = fastest(timings)
        for line in timing_lines(timings, workload.tokens, number):
            say(line)
        _remember(key, number, timings)
    kernels.set_num_threads(number)
    return number


def candidates(cores: int) -> list[int]:
    """Numbers of threads that are worth timing on so many cores, rising."""
    if cores <= 8:
        return list(range(1, cores + 1))
    return sorted({2**power for power in range(cores.bit_length())} | {cores})


def time_threads(
    step: Callable[[], object],
    counts: list[int],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time `step` at each number of threads, in alternating rounds: medians.

    The first call, which pages memory in, does not count. The kernels are left at an
    arbitrary one of the counts.
    """
    kernels.set_num_threads(counts[-1])
    step()
    begun = clock()
    step()
    repeats = max(1, math.ceil(TURN_SECONDS / max(clock() - begun, 1e-9)))
    times: dict[int, list[float]] = {count: [] for count in counts}
    running, rounds, begun = counts, 0, clock()
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and clock() - begun < SECONDS):
        # there and back, so that a machine that slows down or speeds up favours none
        for count in [*reversed(running), *running]:
            kernels.set_num_threads(count)
            start = clock()
            for _ in range(repeats):
                step()
            times[count].append((clock() - start) / repeats)
        rounds += 1
        best = min(statistics.median(taken) for taken in times.values())
        running = [count for count in running if min(times[count]) <= HOPELESS * best]
    return [Timing(count, statistics.median(taken)) for count, taken in times.items()]


def fastest(timings: list[Timing]) -> int:
    """The number of threads to use: the smallest that is as fast as the fastest, nearly."""
    best = min(timing.seconds for timing in timings)
    return min(timing.threads for timing in timings if timing.seconds <= CLOSE * best)


def timing_lines(timings: list[Timing], tokens: int, chosen: int) -> list[str]:
    """A line for each number of threads."""
    return [
        f"threads: {timing.threads:3}  {timing.seconds * 1e3:9.1f} ms a step "
        f"{tokens / timing.seconds:10,.0f} tokens/s"
        + ("  (chosen)" if timing.threads == chosen else "")
        for timing in timings
    ]


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a person lists them: 1, 2 and 4."""
    return " and ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


# ---------------------------------------------------------------- remembering


def memory_path() -> Path | None:
    """The file that choices are kept in; None where there is no place for it."""
    folder = user_cache.cache_folder()
    return None if folder is None else folder / user_cache.THREADS


def _key(workload: Workload, cores: int) -> dict[str, Any]:
    """What must be the same for a choice to hold."""
    return {
        "processor": processor.processor_name(),
        "instructions": kernels.get_isa(),
        "cores": cores,
        "vidya": vidya.__version__,
        # steps of one run differ a little: a power of two says enough
        **(asdict(workload) | {"tokens": 2 ** round(math.log2(workload.tokens))}),
    }


def _entries() -> list[dict[str, Any]]:
    """All choices in the file; a file that is not as it should be holds none."""
    path = memory_path()
    content = recall_json(path) if path is not None else None
    found = content.get("choices") if isinstance(content, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _recall(key: dict[str, Any], cores: int) -> tuple[int, str] | None:
    """The choice made for this key and its day."""
    for entry in _entries():
        number, day = entry.get("threads"), entry.get("day")
        if entry.get("for") != key or type(number) is not int or not 1 <= number <= cores:
            continue
        try:
            return number, datetime.date.fromisoformat(day).isoformat()  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return None


def _remember(key: dict[str, Any], number: int, timings: list[Timing]) -> None:
    """Keep a choice, in place of an older one for the same key; where that fails, do not."""
    entry = {
        "for": key,
        "threads": number,
        "day": datetime.date.today().isoformat(),
        "ms": {str(timing.threads): round(timing.seconds * 1e3, 3) for timing in timings},
    }
    others = [other for other in _entries() if other.get("for") != key]
    choices = [*others[1 - MOST_REMEMBERED :], entry]
    if (path := memory_path()) is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent)
        remember_json(path, {"choices": choices})
    except (OSError, UserError):
        pass  # the choice is made all the same, and measured again next time
