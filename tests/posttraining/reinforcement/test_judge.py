"""Rewards: the built-in ones, how one is found and called, and what is said of a bad one."""

import sys

import numpy as np
import pytest

from vidya import rewards
from vidya.errors import UserError
from vidya.posttraining.reinforcement.judge import Judge, settings_of


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Makes a judge of the source of a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])

    def make(source, name="f", settings=None):
        number = len(list(tmp_path.glob("judge*.py")))
        module = f"judge{number}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        return Judge(f"{module}:{name}", settings)

    return make


def asked(judge, reply="hello there", tokens=4, ended=True):
    return judge(["hi", "yes?", "speak"], reply, tokens=tokens, ended=ended)


def test_length():
    found = [rewards.length([], "", tokens=n, target=20) for n in (0, 5, 10, 20, 40, 80)]
    assert found == [0, 0.25, 0.5, 1, 0.5, 0.25]
    assert rewards.length([], "so it is, yes", tokens=99, target=5, unit="words") == 1
    assert asked(Judge("vidya.rewards:length"), tokens=15) == 0.75


def test_no_repeats():
    said = "i like tea . i like tea"
    assert rewards.no_repeats([], said) == pytest.approx(4 / 6)
    assert rewards.no_repeats([], said, n=4) == 1
    assert rewards.no_repeats([], said, n=1) == pytest.approx(4 / 7)
    assert rewards.no_repeats([], "我是维迪亚，你好世界") == 1  # nobody writes spaces there
    assert rewards.no_repeats([], "你好你好你好") == pytest.approx(2 / 5)
    assert rewards.length([], "你好世界", tokens=9, target=4, unit="words") == 1
    assert rewards.no_repeats([], "", n=1) == rewards.no_repeats([], "yes") == 0
    assert asked(Judge("vidya.rewards:no_repeats", {"n": 3}), "a a a a a") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "settings", "saying"),
    [
        ("length", {"target": 0}, "the target length must be above 0, not 0"),
        ("length", {"target": "x"}, "the reward vidya.rewards:length failed: TypeError"),
        ("length", {"unit": "lines"}, "in tokens or words, not lines"),
        ("no_repeats", {"n": 0}, "n = 1, 2"),
        ("no_repeats", {"n": 1.5}, "n = 1, 2"),
    ],
)
def test_settings_of_the_built_in_ones(name, settings, saying):
    with pytest.raises(UserError, match=saying):
        asked(Judge(f"vidya.rewards:{name}", settings))


def test_what_a_reward_is_told(judge):
    source = "def f(turns, reply{}): return float(turns == ['hi', 'yes?', 'speak']) + {}"
    assert asked(judge(source.format("", "len(reply)"))) == 12
    assert asked(judge(source.format(", *, tokens", "tokens"))) == 5
    assert asked(judge(source.format(", ended, tokens", "10 * ended + tokens"))) == 15
    assert asked(judge(source.format(", k=2", "k"))) == 3
    assert asked(judge(source.format(", k=2", "k"), settings={"k": 7})) == 8
    assert asked(judge(source.format(", **more", "len(more)"), settings={"a": 1, "b": 2})) == 3


def test_a_reward_cannot_change_the_conversation(judge):
    turns = ["hi"]
    judge("def f(turns, reply): return turns.clear() or 1")(turns, "", tokens=1, ended=True)
    assert turns == ["hi"]


@pytest.mark.parametrize("value", ["3", "True", "numpy.float32(3)", "numpy.array(3)", "2.5"])
def test_numbers_of_any_kind_are_rewards(judge, value):
    found = asked(judge(f"import numpy\ndef f(turns, reply): return {value}"))
    assert isinstance(found, float) and found == float(eval(value, {"numpy": np}))


@pytest.mark.parametrize(
    "value", ["None", "'3'", "float('nan')", "-float('inf')", "[1, 2]", "10 ** 400", "1j"]
)
def test_anything_else_is_refused(judge, value):
    with pytest.raises(UserError, match=r"the reward judge0_\w+:f must return a finite number"):
        asked(judge(f"def f(turns, reply): return {value}"))


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*judge0_\w+.py, line 2\)"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise ValueError('x' * 9999)", "ValueError: x{99}…"),
    ],
)
def test_a_reward_that_fails_is_named(judge, body, saying):
    with pytest.raises(UserError, match=r"the reward judge0_\w+:f failed: " + saying) as error:
        asked(judge(f"def f(turns, reply):\n    {body}\n"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "name", "settings", "saying"),
    [
        ("def g(turns, reply): return 1", "f", {}, r"judge0_\w+ \(.*\) has no function f"),
        ("f = 3", "f", {}, "is no function but 3"),
        ("def f(:", "f", {}, r"cannot import judge0_\w+: SyntaxError: .*line 1\)"),
        ("import no_such_module", "f", {}, r"cannot import \w+: ModuleNotFoundError"),
        ("1 / 0", "f", {}, r"cannot import \w+: ZeroDivisionError"),
        ("import sys; sys.exit()", "f", {}, r"cannot import \w+: SystemExit"),
        ("def f(reply): return 1", "f", {}, "cannot be called with turns and reply: too many"),
        ("def f(turns, reply, k): return 1", "f", {}, "missing a required argument: 'k'"),
        ("def f(turns, reply): return 1", "f", {"k": 1}, "has no setting k: it has none"),
        (
            "def f(turns, reply, tokens, good=1, bad=0): return 1",
            "f",
            {"god": 1},
            "has no setting god: its settings are good, bad",
        ),
    ],
)
def test_what_cannot_be_a_reward(judge, source, name, settings, saying):
    with pytest.raises(UserError, match=saying) as error:
        judge(source, name, settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "saying"),
    [
        ("vidya.rewards", "takes MODULE:FUNCTION"),
        (":f", "takes MODULE:FUNCTION"),
        ("m:", "takes MODULE:FUNCTION"),
        ("no_such_module:f", "there is no module no_such_module"),
        ("vidya.nothing:f", "there is no module vidya.nothing"),
        ("no_such.module:f", "there is no module no_such.module"),
        ("math:no", r"math \(.*\) has no function no"),
        ("sys:no", r"sys \(built in\) has no function no"),
    ],
)
def test_names_that_name_nothing(name, saying):
    with pytest.raises(UserError, match=saying):
        Judge(name)


def test_settings():
    given = "target=20 share=0.5 unit=words strict=true loose=false none= a=b=c".split()
    assert settings_of(given) == {
        "target": 20, "share": 0.5, "unit": "words", "strict": True, "loose": False, "none": "",
        "a": "b=c",
    }  # fmt: skip
    assert settings_of([]) == {}


@pytest.mark.parametrize("given", [["target"], ["=3"], ["a b=3"], ["k=1", "k=2"]])
def test_settings_that_are_none(given):
    with pytest.raises(UserError, match="--settings"):
        settings_of(given)
