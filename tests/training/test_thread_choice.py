"""How many threads: measured, remembered, and asked for."""

import contextlib
import io
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.training_runs import TINY, curve, lines_of, refused, train, weights, write_corpus

from vidya import kernels
from vidya.errors import UserError
from vidya.system import processor
from vidya.training import thread_choice
from vidya.training.thread_choice import Timing, Workload

pytestmark = [pytest.mark.either_precision, pytest.mark.usefixtures("kernel_settings")]

WORK = Workload({"n_embd": 32, "n_layer": 1}, 500, "fp32")


class Machine:
    """A clock, and steps that take what `seconds(threads)` says, on two cores or more."""

    def __init__(self, seconds):
        self.now, self.counts, self._seconds = 0.0, [], seconds

    def clock(self):
        return self.now

    def step(self):
        self.counts.append(kernels.get_num_threads())
        self.now += self._seconds(self.counts[-1])

    def measure(self, counts):
        return {
            t.threads: t.seconds for t in thread_choice.time_threads(self.step, counts, self.clock)
        }


# ---------------------------------------------------------------- which to try


@given(st.integers(1, kernels.MAX_THREADS))
def test_candidates(cores):
    counts = thread_choice.candidates(cores)
    assert counts == sorted(set(counts)) and counts[0] == 1 and counts[-1] == cores
    if cores <= 8:
        assert counts == list(range(1, cores + 1))
    else:
        powers = {1, 2, 4, 8, 16, 32, 64, 128, 256}
        assert set(counts) == {count for count in powers if count <= cores} | {cores}


# ---------------------------------------------------------------- measuring


def test_what_is_measured_is_the_time_of_a_step():
    machine = Machine(lambda n: 0.9 / n)
    assert machine.measure([1, 2, 3]) == pytest.approx({1: 0.9, 2: 0.45, 3: 0.3})


def test_the_first_steps_do_not_count():
    """They page memory in."""
    slow_start = Machine(lambda n: 50.0 if len(slow_start.counts) <= 2 else 0.2)
    assert slow_start.measure([1, 2]) == pytest.approx({1: 0.2, 2: 0.2})


def test_rounds_alternate():
    machine = Machine(lambda n: 0.2)
    machine.measure([1, 2, 3])
    rounds = machine.counts[2:]
    assert rounds[:12] == [3, 2, 1, 1, 2, 3, 3, 2, 1, 1, 2, 3]
    assert len(rounds) == 3 * 2 * thread_choice.MOST_ROUNDS


def test_a_machine_that_slows_down_favours_none():
    machine = Machine(lambda n: 0.1 * (1 + len(machine.counts) / 20))
    measured = machine.measure([1, 2])
    assert measured[1] == pytest.approx(measured[2], rel=1e-6)


def test_a_disturbed_step_changes_nothing():
    disturbed = random.Random(5).sample(range(3, 17), 2)
    machine = Machine(lambda n: 9.0 if len(machine.counts) in disturbed else 0.3 / n)
    assert machine.measure([1, 2]) == pytest.approx({1: 0.3, 2: 0.15})


def test_what_cannot_win_is_timed_twice():
    machine = Machine(lambda n: 1.0 / n)
    machine.measure([1, 2, 4, 8])
    timed = machine.counts[2:]
    # 4 threads take twice the time of 8
    assert [timed.count(n) for n in (1, 2, 4)] == [2, 2, 2]
    assert timed.count(8) == 2 * thread_choice.MOST_ROUNDS


def test_a_bad_first_round_rules_nobody_out():
    machine = Machine(lambda n: 5.0 if len(machine.counts) == 3 else 0.2 if n == 2 else 0.3)
    assert machine.measure([1, 2]) == pytest.approx({1: 0.3, 2: 0.2})


def test_long_steps_are_timed_few_times():
    machine = Machine(lambda n: 20.0)
    machine.measure([1, 2])
    assert len(machine.counts) == 2 + 2 * 2 * thread_choice.LEAST_ROUNDS


def test_short_steps_are_timed_many_at_a_time():
    machine = Machine(lambda n: 0.0004)
    assert machine.measure([1, 2]) == pytest.approx({1: 0.0004, 2: 0.0004})
    assert (
        len(machine.counts) - 2
        >= 4 * thread_choice.MOST_ROUNDS * thread_choice.TURN_SECONDS / 0.0004
    )
    assert machine.now < 1.1 * 4 * thread_choice.MOST_ROUNDS * thread_choice.TURN_SECONDS


# ---------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    ("milliseconds", "chosen"),
    [([200, 100], 2), ([100, 100], 1), ([100, 98], 1), ([100, 96], 2), ([50, 100], 1),
     ([300, 150, 100, 98], 3), ([100], 1), ([103, 101.5, 100], 1), ([104, 103, 100], 2)],
)  # fmt: skip
def test_the_fastest_and_among_equals_the_fewest(milliseconds, chosen):
    timings = [Timing(n, ms / 1e3) for n, ms in enumerate(milliseconds, 1)]
    random.Random(0).shuffle(timings)
    assert thread_choice.fastest(timings) == chosen


@given(st.lists(st.floats(1e-4, 10), min_size=1, max_size=9))
def test_the_choice_costs_at_most_three_percent(seconds):
    chosen = thread_choice.fastest([Timing(n, taken) for n, taken in enumerate(seconds, 1)])
    assert seconds[chosen - 1] <= 1.03 * min(seconds)
    assert all(taken > 1.03 * min(seconds) for taken in seconds[: chosen - 1])


def test_the_table():
    timings = [Timing(1, 0.2134), Timing(2, 0.1132), Timing(12, 1.5)]
    assert thread_choice.timing_lines(timings, 461, 2) == [
        "threads:   1      213.4 ms a step      2,160 tokens/s",
        "threads:   2      113.2 ms a step      4,072 tokens/s  (chosen)",
        "threads:  12     1500.0 ms a step        307 tokens/s",
    ]


# ---------------------------------------------------------------- remembering


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The file of choices, on a machine of four cores where two threads are fastest."""
    monkeypatch.setenv("VIDYA_CACHE", str(tmp_path / "cache" / "vidya"))
    monkeypatch.setattr(kernels, "usable_cores", lambda: 4)
    monkeypatch.setattr(thread_choice, "TURN_SECONDS", 1e-9)
    return tmp_path / "cache/vidya/threads.json"


def chosen(monkeypatch, asked="auto", work=WORK, best=2):
    """The choice, the lines said, and how many steps were made for it."""
    machine, said = Machine(lambda n: 0.5 + abs(n - best) / 10), []
    monkeypatch.setattr(thread_choice.time_threads, "__defaults__", (machine.clock,))
    number = thread_choice.choose(asked, work, machine.step, said.append)
    assert kernels.get_num_threads() == number
    return number, said, len(machine.counts)


def test_measured_once_then_remembered(cache, monkeypatch):
    number, said, steps = chosen(monkeypatch)
    assert number == 2 and steps > 8
    assert said[0] == "threads: timing steps of 500 tokens with 1, 2, 3 and 4 threads"
    assert [line.split()[1] for line in said[1:]] == ["1", "2", "3", "4"]
    assert [line.endswith("(chosen)") for line in said[1:]] == [False, True, False, False]
    number, said, steps = chosen(monkeypatch, best=3)
    day = json.loads(cache.read_text())["choices"][0]["day"]
    assert (number, steps) == (2, 0)
    assert said == [f"threads: 2 (measured on {day}; --threads measure measures again)"]


def test_measured_again_when_asked(cache, monkeypatch):
    chosen(monkeypatch)
    number, _, steps = chosen(monkeypatch, "measure", best=3)
    assert number == 3 and steps > 8
    assert chosen(monkeypatch)[::2] == (3, 0)
    assert len(json.loads(cache.read_text())["choices"]) == 1


@pytest.mark.parametrize(
    "work",
    [
        Workload({"n_embd": 32, "n_layer": 1}, 500, "bf16"),
        Workload({"n_embd": 32, "n_layer": 2}, 500, "fp32"),
        Workload({"n_embd": 32, "n_layer": 1}, 1000, "fp32"),
    ],
)
def test_other_work_is_measured_by_itself(cache, monkeypatch, work):
    chosen(monkeypatch)
    assert chosen(monkeypatch, work=work, best=3)[0] == 3
    assert chosen(monkeypatch, best=4)[::2] == (2, 0)
    assert chosen(monkeypatch, work=work, best=4)[::2] == (3, 0)


def test_steps_of_about_the_same_size_are_the_same_work(cache, monkeypatch):
    chosen(monkeypatch)
    for tokens in (450, 512, 600):
        assert chosen(monkeypatch, work=Workload(WORK.model, tokens, "fp32"))[2] == 0


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [(processor, "processor_name", lambda: "another"), (kernels, "get_isa", lambda: "another"),
     (kernels, "usable_cores", lambda: 3), (thread_choice.vidya, "__version__", "9.9")],
)  # fmt: skip
def test_another_machine_or_version_is_measured_by_itself(cache, monkeypatch, place, name, value):
    chosen(monkeypatch)
    with monkeypatch.context() as changed:
        changed.setattr(place, name, value)
        assert chosen(changed, best=1)[0] == 1
    assert chosen(monkeypatch)[::2] == (2, 0)


def entry_with(**changes):
    """A file whose one entry is as it should be but for the changes."""

    def damage(raw):
        content = json.loads(raw)
        content["choices"][0].update(changes)
        return json.dumps(content).encode()

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"", lambda raw: raw[:-9], lambda raw: b"\xff\xfe" + raw, lambda raw: b"[1]",
        lambda raw: b"null", lambda raw: b'{"choices": 5}', lambda raw: b'{"choices": [5, null]}',
        lambda raw: b'{"choices": [{}]}', lambda raw: b"[" * 100_000,
        entry_with(threads=5), entry_with(threads=0), entry_with(threads=-1),
        entry_with(threads="2"), entry_with(threads=True), entry_with(threads=2.0),
        entry_with(threads=None), entry_with(day="yesterday"), entry_with(day=None),
        entry_with(day=5),
    ],
)  # fmt: skip
def test_a_damaged_file_is_measured_anew_and_mended(cache, monkeypatch, damage):
    chosen(monkeypatch)
    cache.write_bytes(damage(cache.read_bytes()))
    number, _, steps = chosen(monkeypatch, best=3)
    assert number == 3 and steps > 8
    assert chosen(monkeypatch)[::2] == (3, 0)


def test_a_place_that_cannot_be_written(cache, monkeypatch):
    """A file where the folder should be, a folder where the file should be: works without."""
    cache.parent.parent.mkdir()
    cache.parent.write_text("in the way")
    for _ in range(2):
        number, _, steps = chosen(monkeypatch)
        assert number == 2 and steps > 8
    cache.parent.unlink()
    cache.mkdir(parents=True)
    assert chosen(monkeypatch)[0] == 2
    assert [path.name for path in cache.parent.iterdir()] == ["threads.json"]


def test_a_full_disk(cache, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    assert chosen(monkeypatch)[0] == 2
    assert list(cache.parent.iterdir()) == []


def test_the_file_is_replaced_whole(cache, monkeypatch):
    """While it is written, the old one stands; what a killed writer left is removed."""
    chosen(monkeypatch)
    before, fsync, seen = cache.read_bytes(), os.fsync, []
    (cache.parent / ".threads.json.tmp-1-0").write_text("left by the dead")
    monkeypatch.setattr(
        os, "fsync", lambda number: (seen.append(cache.read_bytes()), fsync(number))
    )
    chosen(monkeypatch, "measure", best=3)
    assert seen[0] == before != cache.read_bytes()
    assert [path.name for path in cache.parent.iterdir()] == ["threads.json"]


def test_the_file_does_not_grow_for_ever(cache, monkeypatch):
    monkeypatch.setattr(thread_choice, "MOST_REMEMBERED", 3)
    works = [Workload({"n_embd": n}, 500, "fp32") for n in range(5)]
    for work in works:
        chosen(monkeypatch, work=work)
    kept = [entry["for"]["model"]["n_embd"] for entry in json.loads(cache.read_text())["choices"]]
    assert kept == [2, 3, 4]


def test_where_the_file_is(monkeypatch):
    monkeypatch.delenv("VIDYA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert thread_choice.memory_path() == Path("/x/vidya/threads.json")
    for unset in ("", "relative"):  # the standard ignores a relative one
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        monkeypatch.setenv("HOME", "/h")
        assert thread_choice.memory_path() == Path("/h/.cache/vidya/threads.json")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert thread_choice.memory_path() is None


def test_a_user_without_a_home(cache, monkeypatch):
    monkeypatch.setattr(thread_choice, "memory_path", lambda: None)
    assert chosen(monkeypatch)[0] == 2


# ---------------------------------------------------------------- asked for


def test_a_number_is_taken_as_it_is(cache, monkeypatch):
    assert chosen(monkeypatch, 3) == (3, [], 0)
    assert not cache.exists()


def test_one_core_has_no_choice(cache, monkeypatch):
    monkeypatch.setattr(kernels, "usable_cores", lambda: 1)
    for asked in ("auto", "measure"):
        assert chosen(monkeypatch, asked) == (1, [], 0)
    assert not cache.exists()


@pytest.mark.parametrize("asked", [0, -1, -300, 257, 300])
def test_numbers_that_cannot_be(asked):
    with pytest.raises(
        UserError, match=f"^--threads must be auto or between 1 and 256, not {asked}$"
    ):
        thread_choice.check(asked)


@pytest.mark.parametrize("asked", [1, 256, "auto", "measure"])
def test_what_can_be_asked(asked):
    thread_choice.check(asked)


@pytest.mark.parametrize(
    ("cores", "asked", "used", "warns"),
    [(4, "auto", 4, ""), (4, 4, 4, ""), (4, 1, 1, ""), (4, "measure", 4, ""),
     (4, 5, 5, "warning: --threads 5 is more than the 4 cores that this process may use: expect it "
               "to be slower, not faster\n"),
     (1, 2, 2, "warning: --threads 2 is more than the one core that this process may use: expect "
               "it to be slower, not faster\n")],
)  # fmt: skip
def test_use(monkeypatch, cores, asked, used, warns):
    monkeypatch.setattr(kernels, "usable_cores", lambda: cores)
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        assert thread_choice.use(asked) == kernels.get_num_threads() == used
    assert stderr.getvalue() == warns


# ---------------------------------------------------------------- the command


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a corpus; what is remembered is kept apart from the user's."""
    monkeypatch.setenv("VIDYA_CACHE", str(tmp_path / "cache" / "vidya"))
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return tmp_path


GIVEN = [*TINY, "--data", "small.txt", "--steps", 4, "--verbose"]


def said(done, prefix="threads:"):
    return [line for line in done.stderr.splitlines() if line.startswith(prefix)]


def test_a_training_measures_and_remembers_and_its_numbers_are_the_same(home):
    if kernels.usable_cores() == 1:
        pytest.skip("one core has no choice")
    train(*GIVEN, "--out", "one", cwd=home)
    auto = said(train(*GIVEN, "--threads", "auto", "--out", "auto", cwd=home))
    assert "timing steps of" in auto[0] and len(auto) == 1 + len(
        thread_choice.candidates(kernels.usable_cores())
    )
    chosen_lines = [line for line in auto if line.endswith("(chosen)")]
    assert len(chosen_lines) == 1
    number = int(chosen_lines[0].split()[1])
    assert lines_of("auto")[0]["threads"] == number
    again = said(train(*GIVEN, "--threads", "auto", "--out", "again", cwd=home))
    assert len(again) == 1 and again[0].startswith(f"threads: {number} (measured on 20")
    measured = said(train(*GIVEN, "--threads", "measure", "--out", "new", cwd=home))
    assert len(measured) == len(auto)
    for run in ("auto", "again", "new"):
        assert curve(run) == curve("one")
        assert weights(run) == weights("one")
    # asked for once: the run goes on with what is remembered
    more = train("--resume", "--out", "new", "--steps", 5, "--verbose", cwd=home)
    assert len(said(more)) == 1 and "measured on" in said(more)[0]
    assert not list((home / "cache/vidya").glob(".*"))


def test_on_one_core_nothing_is_timed(home):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        # a new process begins with the cores of this one
        done = train(*GIVEN, "--threads", "measure", "--out", "run", cwd=home, fresh=True)
    finally:
        os.sched_setaffinity(0, before)
    assert said(done) == [] and lines_of("run")[0]["threads"] == 1
    assert not (home / "cache/vidya/threads.json").exists()


def test_more_threads_than_cores_is_a_warning(home):
    many = kernels.usable_cores() + 3
    done = train(*GIVEN, "--threads", many, "--out", "run", cwd=home)
    warned = said(done, "warning: ")
    assert len(warned) == 1 and f"--threads {many} is more than the " in warned[0]
    assert lines_of("run")[0]["threads"] == many


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("0", "--threads must be auto or between 1 and 256, not 0"),
        ("-2", "--threads must be auto or between 1 and 256, not -2"),
        ("300", "--threads must be auto or between 1 and 256, not 300"),
        ("abc", "--threads: 'abc' is neither auto nor measure nor a whole number"),
        ("1.5", "--threads: '1.5' is neither auto nor measure nor a whole number"),
        ("", "--threads: '' is neither auto nor measure nor a whole number"),
    ],
)
def test_what_is_no_number_of_threads(home, asked, says):
    assert says in refused(*GIVEN, "--threads", asked, "--out", "run", cwd=home)
    assert not (home / "run").exists()
