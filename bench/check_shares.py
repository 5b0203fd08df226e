"""Fails when a kernel has lost 30 % of its share of what the machine can do.

    python bench/check_shares.py            # compare with bench/shares.json
    python bench/check_shares.py --record   # write down what is measured now

A kernel and its limit (memory bandwidth, or sgemm, for bfloat16 too) take turns of the
same length, and the best turn of each counts, so that other programs on the machine
disturb both alike. One thread is timed by its own processor time; of several threads
only turns count in which the system stopped none of them for another program, and if
there are none, that is said and does not fail. What looks too slow is measured again
for most of a minute before it is called a failure: what other programs do to the memory
and the last-level cache passes, a slow kernel stays slow.

Shares are recorded for each instruction set and number of threads; what has no record
is printed and does not fail.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from kernel_cases import KernelCase, attention, cross_entropy, keep_freed_memory, passes, products
from limits import Meter
from machine import describe, summary
from steps import config_of

from vidya import kernels
from vidya.system.atomic_file import atomic_write

RECORD = Path(__file__).with_name("shares.json")
TOLERANCE = 0.3
"""Part of its recorded share that a kernel may lose, this much excluded."""
TURNS, TURN_SECONDS = 8, 0.01
ATTEMPTS, PAUSE_SECONDS = 8, 5.0
"""Measurements of what looks too slow, and the pause before each but the first."""

MOST_TURNS = 24
"""Turns until so many were undisturbed."""

CACHED_VOCABULARY = 256
"""Tokens of the embedding that is timed: its gradient stays in a core's own cache. A bigger
one stays in the last-level cache, of which programs on other cores leave a part that no
limit shows."""

Measure = Callable[[str], float | None]
"""From a kernel and its threads, as `Shares.names` has them, to its share of the limit;
None if the machine is too busy to tell."""


class Shares:
    """Measures shares of the limits of this moment."""

    def __init__(self) -> None:
        keep_freed_memory()
        counts = [1, 2] if kernels.usable_cores() > 1 else [1]
        self._meters = {
            threads: Meter(threads, time.thread_time if threads == 1 else time.perf_counter)
            for threads in counts
        }
        self._cases = {
            f"{case.name}, {threads} thread{'s' if threads > 1 else ''}": (case, threads)
            for case in cases()
            for threads in counts
        }
        self._built: tuple[KernelCase, Callable[[], object]] | None = None
        self.names = list(self._cases)
        """What `measure` takes."""

    def measure(self, name: str) -> float | None:
        """The kernel's best rate over its limit's, from turns of about the same length."""
        case, threads = self._cases[name]
        if self._built is None or self._built[0] is not case:
            self._built = case, case.build()
        meter, call = self._meters[threads], self._built[1]
        # not vidya's own bf16 product, which would lose as much as what it judges
        bound = "fp32" if case.bound == "bf16" else case.bound
        kernels.set_num_threads(threads)
        call()
        repeats = max(1, math.ceil(TURN_SECONDS / max(1e-6, _seconds(meter, call, 1))))
        limits: list[float] = []
        rates: list[float] = []
        for turn in range(MOST_TURNS):
            if turn >= TURNS and not (limits and rates):
                return None
            stopped = preemptions()
            limit = meter.sample(bound)
            between = preemptions()
            rate = repeats * case.rate(_seconds(meter, call, repeats))
            if threads == 1 or between == stopped:
                limits.append(limit)
            if threads == 1 or preemptions() == between:
                rates.append(rate)
            if min(len(limits), len(rates)) >= TURNS:
                break
        return max(rates) / max(limits) if limits and rates else None


def _seconds(meter: Meter, call: Callable[[], object], repeats: int) -> float:
    """Of so many calls, by the meter's clock."""
    start = meter.clock()
    for _ in range(repeats):
        call()
    return meter.clock() - start


def preemptions() -> int:
    """How often a thread of this process was stopped so that something else could run."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def cases() -> list[KernelCase]:
    """One shape of each kernel: products of 1,024 tokens, passes that leave the cache."""
    config = config_of("25m")
    cached = dataclasses.replace(config, vocab_size=CACHED_VOCABULARY)
    chosen = [
        *(case for case in passes(config, None) if not case.name.startswith("embedding")),
        *(case for case in passes(cached, None) if case.name.startswith("embedding")),
    ]
    for precision, roles in (("fp32", ("ffn_up", "ffn_down")), ("bf16", ("ffn_down",))):
        layer = products(config, 1024, precision)
        chosen += [case for case in layer if case.name.split()[1] in roles]
        chosen += [*attention(config, 1024, precision), *cross_entropy(config, 256, precision)]
    return chosen


# ---- comparing --------------------------------------------------------------------------------


def measure_all(
    names: list[str], measure: Measure, recorded: dict[str, float], pause: float
) -> dict[str, float | None]:
    """Shares by name, each that is too low the best of `ATTEMPTS`, `pause` seconds apart."""
    shares = {name: measure(name) for name in names}
    for _ in range(1, ATTEMPTS):
        slow = failures(shares, recorded)
        if not slow:
            break
        time.sleep(pause)
        for name in slow:
            again = measure(name)
            if again is not None:
                shares[name] = max(shares[name] or 0.0, again)
    return shares


def failures(shares: dict[str, float | None], recorded: dict[str, float]) -> list[str]:
    """Names of those that have lost 30 % or more of their recorded share."""
    return [
        name
        for name, share in shares.items()
        # written so that NaN fails
        if share is not None and name in recorded and not share > (1 - TOLERANCE) * recorded[name]
    ]


def report(shares: dict[str, float | None], recorded: dict[str, float], isa: str) -> int:
    """Print a line for every kernel, the failures on stderr; returns the exit status."""
    for name, share in shares.items():
        now = "the machine is too busy to tell" if share is None else f"{share:.0%} of its limit"
        then = f"recorded {recorded[name]:.0%}" if name in recorded else f"no record for {isa}"
        print(f"{name}: {now} ({then})")
    for name in sorted(set(recorded) - set(shares)):
        print(f"{name}: not measured here (recorded {recorded[name]:.0%})")
    failed = failures(shares, recorded)
    for name in failed:
        share = shares[name] or 0.0
        print(
            f"error: {name}: {share:.1%} of its limit, {recorded[name]:.1%} recorded: "
            f"{1 - share / recorded[name]:.0%} lost",
            file=sys.stderr,
        )
    return 1 if failed else 0


# ---- the record -------------------------------------------------------------------------------


def read_record(path: Path) -> dict[str, Any]:
    """All records by instruction set; none if there is no file. SystemExit if it is damaged."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        for entry in records.values():
            if not all(isinstance(share, float) for share in entry["shares"].values()):
                raise ValueError("a share is no number")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        print(f"error: {path} is damaged ({error}): make it anew by --record", file=sys.stderr)
        raise SystemExit(2) from None
    return dict(records)


def write_record(path: Path, isa: str, shares: dict[str, float | None]) -> None:
    """Replace what the file says about one instruction set; what is None is left out."""
    records = read_record(path)
    rounded = {name: round(share, 4) for name, share in shares.items() if share is not None}
    records[isa] = {"machine": summary(describe()), "shares": rounded}
    text = json.dumps(records, indent=1, sort_keys=True) + "\n"

    def write(file: BinaryIO) -> None:
        file.write(text.encode())

    atomic_write(path, write)


def main(
    arguments: list[str] | None = None,
    names: list[str] | None = None,
    measure: Measure | None = None,
    pause: float = PAUSE_SECONDS,
) -> int:
    """Measure and compare, or record; `names` and `measure` replace the measuring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write down what is measured now")
    parser.add_argument("--shares", type=Path, default=RECORD, help="the file with the record")
    given = parser.parse_args(arguments)
    isa = kernels.get_isa()
    recorded = {} if given.record else read_record(given.shares).get(isa, {}).get("shares", {})
    if names is None or measure is None:
        measured = Shares()
        names, measure = measured.names, measured.measure
    shares = measure_all(names, measure, recorded, pause)
    if given.record:
        write_record(given.shares, isa, shares)
    return report(shares, recorded, isa)


if __name__ == "__main__":
    raise SystemExit(main())
