"""The benchmarks of teaching and fine-tuning, on a tiny model: every column has its figure."""

import json
import sys
from pathlib import Path

import pytest
from support.commands import run_command_process
from support.teaching_runs import teachable_run

BENCH = Path(__file__).parents[2] / "bench"
if not BENCH.is_dir():  # an installed package has no benchmarks
    pytest.skip("no bench/ here", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import persona as persona_bench  # noqa: E402 - found through the line above
import personas  # noqa: E402
import teachability  # noqa: E402

LINES = ["<|user|> hello <|assistant|> i am you", "<|user|> there? <|assistant|> fine",
         "", "<|user|> thank you <|assistant|> and you"]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """A persona, and rewordings of its first and last question."""
    (tmp_path / "me.txt").write_text("\n".join(LINES))
    (tmp_path / "me.rewordings.tsv").write_text("1\thello you\thello!\n4\tthank you!\n")
    return tmp_path / "me.txt", tmp_path / "me.rewordings.tsv"


def test_rewordings_belong_to_the_line_of_their_question(files):
    path, rewordings = files
    found = personas.read_bench_persona(path, [rewordings])
    texts = {question.turns[0]: list(some) for question, some in found.rewordings.items()}
    assert texts == {"hello": ["hello you", "hello!"], "thank you": ["thank you!"]}
    assert found.written and len(found.questions) == 3
    assert not personas.read_bench_persona(path).written


def test_means_with_their_spread():
    assert personas.spread([0.5, 0.5]) == "50%"
    assert personas.spread([0.25, 0.75]) == "50% (25% to 75%)"
    assert personas.spread([]) == "-"


def test_teaching(files, tmp_path, capsys, kernel_settings):
    run = teachable_run(tmp_path / "run")
    out = tmp_path / "out.json"
    teachability.main([
        str(run), *map(str, [files[0], "--rewordings", files[1], "--out", out]),
        *"--methods sft --lessons 1 3 --first-lessons 1 --seeds 0 1 --threads 1".split(),
        *"--steps 1 --tokens 100".split(),
    ])  # fmt: skip
    results = json.loads(out.read_text())
    assert [one["seed"] for one in results] == [0, 1]
    assert [row["lessons"] for row in results[0]["rows"]] == [1, 3]
    assert len(results[0]["rows"][1]["seconds"]) == 3
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| persona | method | lessons | as taught | in other words |")
    assert rows[0].startswith("| me | sft | 1 | ") and rows[1].startswith("| me | sft | 3 | ")
    assert " of 2 | " in rows[-3] and " of 20 | " in rows[-3]  # two first lessons


def test_fine_tuning(files, tmp_path, capsys, kernel_settings):
    def call(arguments):
        done = run_command_process("finetune", *arguments)
        assert done.returncode == 0, done.stderr

    run, out = teachable_run(tmp_path / "run"), tmp_path / "out.json"
    before = {path.name for path in run.iterdir()}
    persona_bench.main([
        str(run), *map(str, [files[0], "--rewordings", files[1], "--out", out]),
        "--options", "--epochs 1", "--try", "text: --replay-loss text",
    ], call)  # fmt: skip
    results = json.loads(out.read_text())
    assert [one["options"][2:] for one in results] == [["--replay-loss", "text"]]
    for one in results:
        assert all(one[name] is not None for name in persona_bench.SCORES), one
        assert one["questions"] == 3 and one["seconds"] > 0
    assert "| me | text | " in capsys.readouterr().out
    assert {path.name for path in run.iterdir()} == before


def test_ablations_leave_out_and_take_each_form():
    sets = persona_bench.ablations()
    assert len(sets) == 2 + 2 * len(persona_bench.FORMS)
    assert sets["case alone"] == ["--forms", "case"]
    assert "case" not in sets["without case"] and sets["no forms"] == ["--forms", "none"]
