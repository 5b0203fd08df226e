"""The options of a training: what is refused, and what a run that goes on may be given."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.model.presets import PRESETS
from vidya.model.recipes import RECIPES
from vidya.training import run_changes
from vidya.training.options import BY_RECIPE, TrainOptions, from_plain
from vidya.training.run_changes import (
    CHANGES,
    OF_SESSION,
    change_line,
    changed_at,
    changes,
    is_change,
    resumed,
)

FIELDS = {field.name: field for field in dataclasses.fields(TrainOptions)}


def options(**values):
    return TrainOptions(**values)


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("steps", [0, -1], [1, 10**9]),
        ("docs_per_step", [0, -3], [1]),
        ("tokens_per_step", [0], [1]),
        ("eval_every", [0], [1]),
        ("eval_tokens", [0], [1]),
        ("checkpoint_every", [0], [1]),
        ("keep", [0], [1]),
        ("threads", [0, -1, 257], [1, 256, "auto", "measure"]),
        ("minutes", [0.0, -1.0, math.nan, math.inf], [0.01]),
        ("passes", [0.0, math.nan, math.inf], [0.01]),
        ("clip", [0.0, math.nan, math.inf], [1e-3]),
        ("eps", [0.0, -1e-8, math.nan], [1e-8]),
        ("lr", [0.0, -1e-3, math.nan, math.inf], [1e-3]),
        ("embedding_lr_scale", [0.0, -1.0, math.nan, math.inf], [0.1, 10.0]),
        ("embedding_std", [0.0, -0.02, math.nan, math.inf], [0.02]),
        ("hidden_std", [0.0, math.nan], [0.04]),
        ("residual_std", [0.0, math.nan], [1e-9]),
        ("lr_floor", [-0.1, 1.1, math.nan], [0.0, 1.0]),
        ("beta1", [-0.1, 1.0, math.nan], [0.0, 0.9]),
        ("beta2", [-0.1, 1.0, math.nan], [0.0, 0.999]),
        ("val_fraction", [-0.1, 1.0, math.nan], [0.0, 0.5]),
        ("dropout", [-0.1, 1.0, math.nan], [0.0, 0.9]),
        ("warmup", [-1], [0, 10**9]),
        ("merges", [-1], [0]),
        ("samples", [-1], [0]),
        ("seed", [-1, 2**64], [0, 2**64 - 1]),
        ("n_embd", [0, -8, 33], [64]),
        ("n_head", [0, 3], [8]),
        ("n_layer", [0], [1]),
        ("context", [0, -1], [1]),
        ("preset", ["huge", ""], list(PRESETS)),
    ],
)
def test_a_value_that_cannot_work_is_refused(name, bad, good):
    word = f"--{name.replace('_', '-')}"
    for value in bad:
        with pytest.raises(UserError) as error:
            options(**{name: value}).check()
        message = str(error.value)
        assert "\n" not in message
        # the model's own checks call the field by its name in the configuration
        assert word in message or name in message or "n_embd / n_head" in message
    for value in good:
        options(**{name: value}).check()


def test_resume_and_overwrite_contradict_each_other():
    with pytest.raises(UserError, match="give one"):
        options(resume=True, overwrite=True).check()


def test_a_tokenizer_that_is_named_cuts_in_its_own_way():
    with pytest.raises(UserError, match=r"--no-split-digits trains another: give one"):
        options(tokenizer=Path("t.json"), split_digits=False).check()
    options(tokenizer=Path("t.json"), split_digits=False, resume=True).check()


@pytest.mark.parametrize("name", ["embedding_std", "hidden_std", "residual_std"])
def test_weights_that_are_brought_are_not_drawn(name):
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} draws fresh ones: give one"):
        options(init=Path("w"), **{name: 0.5}).check()
    options(init=Path("w")).check()
    options(**{name: 0.5}).check()


def test_resume_and_init_contradict_each_other():
    with pytest.raises(UserError, match="give one"):
        options(resume=True, init=Path("w")).check()


# ---------------------------------------------------------------- what follows from the preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_is_not_given(name):
    there, chosen = PRESETS[name], options(preset=name)
    assert chosen.folder() == Path("runs") / name
    its = RECIPES[there.recipe]
    assert chosen.recipe_name() == there.recipe
    assert chosen.model_config(1000) == there.model(1000, its.dropout)
    assert chosen.n_merges() == there.merges
    assert chosen.peak_lr() == there.peak_rate(there.recipe)
    assert chosen.warmup_steps() == there.warmup_steps


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_is_not_given(name):
    its, chosen = RECIPES[name], options(preset="10m", recipe=name)
    config = chosen.model_config(1000)
    assert config.dropout == its.dropout
    assert chosen.initial_stds(config) == its.initial_stds(256, 12)
    assert chosen.peak_lr() == chosen.usual_lr() == PRESETS["10m"].peak_rate(name)
    assert [chosen.in_force(key) for key in BY_RECIPE] == [getattr(its, key) for key in BY_RECIPE]


def test_what_is_given_wins_over_the_recipe():
    chosen = options(
        recipe="fast", dropout=0.3, beta1=0.5, beta2=0.25, decay="linear", lr=0.5, hidden_std=0.7,
        embedding_std=0.8, residual_std=0.9,
    )  # fmt: skip
    config = chosen.model_config(300)
    assert (config.dropout, chosen.peak_lr()) == (0.3, 0.5)
    assert [chosen.in_force(key) for key in ("beta1", "beta2", "decay")] == [0.5, 0.25, "linear"]
    assert dataclasses.astuple(chosen.initial_stds(config)) == (0.8, 0.7, 0.9)
    steps = dataclasses.replace(chosen, steps=11, warmup=1)
    assert [steps.rate(step) for step in (1, 6)] == pytest.approx([0.5, 0.25])


def test_nothing_of_a_recipe_is_what_a_run_was_before_there_were_any():
    plain = options(preset="10m").plain()
    for name in ("recipe", "decay", "embedding_std", "hidden_std", "residual_std"):
        del plain[name]
    earlier = from_plain(plain | {"dropout": 0.1, "beta1": 0.9, "beta2": 0.999})
    assert earlier.recipe_name() == "plan"
    assert changes(earlier, options(preset="10m", recipe="plan")) == {}


def test_what_is_given_wins_over_the_preset():
    chosen = options(
        preset="nano", out=Path("here"), n_embd=64, n_layer=2, n_head=2, context=8, dropout=0.5,
        merges=0, lr=0.5, warmup=0,
    )  # fmt: skip
    model = chosen.model_config(300)
    assert dataclasses.astuple(model) == (64, 2, 2, 8, 300, 0.5)
    assert (chosen.n_merges(), chosen.peak_lr(), chosen.warmup_steps()) == (0, 0.5, 0)
    assert chosen.folder() == Path("here")


# ---------------------------------------------------------------- as JSON, and back


some_options = st.builds(
    TrainOptions,
    preset=st.sampled_from(sorted(PRESETS)),
    data=st.lists(st.sampled_from([Path("a.txt"), Path("b/c d.txt")])).map(tuple),
    val=st.none() | st.just(Path("v.txt")),
    out=st.none() | st.just(Path("runs/x")),
    init=st.none() | st.just(Path("runs/y")),
    seed=st.integers(0, 2**64 - 1),
    steps=st.none() | st.integers(1, 10**9),
    lr=st.none() | st.floats(1e-9, 1, exclude_min=True),
    dropout=st.none() | st.floats(0, 0.99),
    recipe=st.none() | st.sampled_from(sorted(RECIPES)),
    hidden_std=st.none() | st.floats(1e-6, 1),
    n_embd=st.none() | st.just(64),
    threads=st.sampled_from(["auto", "measure"]) | st.integers(1, 256),
    tensorboard=st.booleans(),
    on_spike=st.sampled_from(["warn", "skip", "stop"]),
)


@given(some_options)
def test_options_survive_a_checkpoint(chosen):
    assert from_plain(json.loads(json.dumps(chosen.plain()))) == chosen


@pytest.mark.parametrize("recipe", [None, *RECIPES])
def test_a_recipe_that_was_not_named_is_the_presets_again(recipe):
    assert from_plain(options(recipe=recipe).plain()).recipe == recipe


def test_a_checkpoint_of_another_version():
    """An option that it does not know has the default; one that we do not know is ignored."""
    plain = options(seed=5, steps=7).plain()
    del plain["lr_floor"]
    assert from_plain({**plain, "wings": 2}) == options(seed=5, steps=7)
    # digits were not cut off
    del plain["split_digits"]
    assert not from_plain(plain).split_digits
    plain["split_digits"] = True
    # how "auto" was written once
    assert from_plain({**plain, "threads": None}) == options(seed=5, steps=7)


# ---------------------------------------------------------------- going on


MAY_CHANGE = frozenset(CHANGES) | OF_SESSION

OTHER = {
    "preset": "nano", "data": (Path("x.txt"),), "val": Path("y.txt"), "val_fraction": 0.3,
    "out": Path("z"), "resume": True, "overwrite": True, "seed": 9, "steps": 77, "minutes": 1.0,
    "passes": 1.0, "tokens_per_step": 9, "docs_per_step": 9, "lr": 0.9, "warmup": 9,
    "lr_floor": 0.9, "beta1": 0.5, "beta2": 0.5, "eps": 0.9, "clip": 9.0, "merges": 9,
    "n_embd": 64, "n_layer": 9, "n_head": 2, "context": 9, "dropout": 0.9, "threads": 9,
    "eval_every": 9, "eval_tokens": 9, "samples": 9, "checkpoint_every": 9, "keep": 9,
    "init": Path("w"), "on_spike": "skip", "tensorboard": True, "profile": True, "verbose": True,
    "precision": "bf16", "tokenizer": Path("t.json"), "split_digits": False, "recipe": "fast",
    "decay": "linear", "embedding_lr_scale": 9.0, "embedding_std": 0.9, "hidden_std": 0.9,
    "residual_std": 0.9,
}  # fmt: skip
"""For every option another value than the default."""


def test_every_option_is_tried_below():
    assert OTHER.keys() == FIELDS.keys()
    assert all(OTHER[name] != field.default for name, field in FIELDS.items())


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - MAY_CHANGE))
def test_what_makes_a_run_cannot_change(name):
    """Neither from the default to something else nor back."""
    default, other = options(), dataclasses.replace(options(), **{name: OTHER[name]})
    for saved, given_now in ((default, other), (other, default)):
        if given_now.precision == "auto" != saved.precision:
            assert resumed(given_now, saved) == saved  # auto asks for nothing else
            continue
        with pytest.raises(UserError) as error:
            resumed(given_now, saved)
        message = str(error.value)
        was, now = getattr(saved, name), getattr(given_now, name)
        flag = "--" + name.replace("_", "-")
        was = run_changes.unset_word(name) if was is None else was
        assert message.startswith(f"{flag} is {was} in the run to resume and cannot become {now}: ")
        assert message.endswith("; or leave it out, or start another run with --out")
    assert resumed(other, other) == other


@pytest.mark.parametrize("name", sorted(MAY_CHANGE - {"resume", "overwrite"}))
def test_what_does_not_make_a_run_may_change(name):
    default, other = options(), dataclasses.replace(options(), **{name: OTHER[name]})
    assert resumed(other, default) == other
    assert resumed(default, other) == default
    for before, after in ((default, other), (other, default)):
        changed = changes(before, after)
        assert set(changed) - {"tokens_per_step"} == {name} - OF_SESSION - {"tokens_per_step"}
        line = json.loads(json.dumps(change_line(4, 99, 1.5, changed)))
        assert is_change(line) and not is_change({**line, "changes": {"lr": 3}})
        again = changed_at([line], 4, before)
        assert changes(again, after) == {} and again.step_limits() == after.step_limits()
        assert changed_at([line], 5, before) == before


def test_tokens_that_are_asked_for_take_the_place_of_documents():
    saved = options(docs_per_step=4)
    assert resumed(saved, saved) == saved
    assert resumed(saved, saved, {"tokens_per_step"}).step_limits() == (512, None)
    given = options(tokens_per_step=99, docs_per_step=4)
    assert resumed(given, saved).step_limits() == (99, None)
    assert changes(saved, options()) == {
        "tokens_per_step": [None, 512], "docs_per_step": [4, None],
    }  # fmt: skip


def test_what_a_run_may_be_given_is_checked():
    with pytest.raises(UserError, match="--keep must be at least 1"):
        resumed(options(keep=0), options())


def test_what_a_run_is_may_not_change():
    """These decide which model it is, which text it sees, and in which order."""
    decisive = set(
        "preset val_fraction seed merges split_digits n_embd n_layer n_head context precision "
        "init recipe embedding_std hidden_std residual_std".split()
    )
    assert decisive | MAY_CHANGE == FIELDS.keys() and not decisive & MAY_CHANGE


def test_how_often_a_run_is_saved_and_evaluated():
    """The plan's 10,000 steps for a long run, a tenth of a short one, or what was asked for."""
    assert options().checkpoint_steps(600_000) == 10_000
    assert options().eval_steps(600_000) == 2_000
    assert options().checkpoint_steps(500) == options().eval_steps(500) == 50
    assert options().checkpoint_steps(3) == options().eval_steps(3) == 1
    assert options(checkpoint_every=7, eval_every=9).checkpoint_steps(600_000) == 7
    assert options(checkpoint_every=7, eval_every=9).eval_steps(600_000) == 9
