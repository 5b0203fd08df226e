"""Plans that are kept: found again for the same run on the same machine alone."""

import dataclasses
import os

import pytest

from vidya import kernels
from vidya.planning import plan_memory
from vidya.planning.plan_memory import recall_plans, remember_plans
from vidya.planning.run_plan import PreparedCorpora, RunPlan
from vidya.planning.trial_run import Trial, TrialMemory
from vidya.system import user_cache
from vidya.training.memory_plan import MemoryPlan
from vidya.training.options import TrainOptions
from vidya.training.run_length import StepSpeed

TRIAL = Trial(
    {"n_embd": 32, "n_layer": 1, "n_head": 1, "context": 32, "vocab_size": 279}, "fp32", 2, "avx2",
    TrialMemory(MemoryPlan(1, 2, 3, 4, 5, 6, 7), 8, 9), 0.5, 0.25, 0.125, 1000,
    StepSpeed(0.1, 60.5, 7, 0.01), StepSpeed(0.05, 20.0, 9, 0.02), 5000, 300,
)  # fmt: skip
PREPARED = PreparedCorpora(1.5, 10, 20, 279, 300, 1.75)


@pytest.fixture
def options(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("hello\n" * 9)
    os.utime(path, (1e9, 1e9))
    return TrainOptions(data=(path,), out=tmp_path / "run")


@pytest.fixture
def kept(options, monkeypatch):
    """A plan that is kept; its corpus was not written to just now."""
    monkeypatch.setattr("vidya.storage.file_stamp_cache._SETTLED_NS", -1)
    plan = RunPlan(options, PREPARED, TRIAL)
    remember_plans([plan])
    return plan


def test_a_plan_is_found_again_as_it_was(kept, options):
    found = recall_plans([options])
    assert found.plans == [kept] and len(found.day) == 10
    elsewhere = dataclasses.replace(options, out=options.out.with_name("other"), minutes=7.0)
    assert recall_plans([elsewhere]).plans == [dataclasses.replace(kept, options=elsewhere)]


def test_another_run_machine_or_corpus_is_measured(kept, options, monkeypatch):
    given = dataclasses.replace(options, tokenizer=options.data[0])
    remember_plans([RunPlan(given, PREPARED, TRIAL)])
    assert recall_plans([given]) is None  # it may be another one by now
    other = dataclasses.replace(options, tokens_per_step=77)
    assert recall_plans([other]) is None and recall_plans([options, other]) is None
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "usable_cores", lambda: 99)
        assert recall_plans([options]) is None
    with monkeypatch.context() as patch:
        patch.setattr(plan_memory.processor, "processor_name", lambda: "Z80")
        assert recall_plans([options]) is None
    options.data[0].write_text("hello there\n" * 9)
    assert recall_plans([options]) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"day": "x"}', b'{"trial": {}}'])
def test_what_is_not_as_it_should_be_is_measured(kept, options, monkeypatch, content):
    monkeypatch.setattr(user_cache, "recall", lambda kind, key: content)
    assert recall_plans([options]) is None


def test_a_file_that_may_change_still_is_not_relied_on(options, monkeypatch):
    monkeypatch.setattr("vidya.storage.file_stamp_cache._SETTLED_NS", 10**15)
    remember_plans([RunPlan(options, PREPARED, TRIAL)])
    assert user_cache.entries() == []
