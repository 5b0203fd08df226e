"""Names in a run folder, and what of it belongs to the model that stands there."""

import re
from pathlib import Path

import pytest

import vidya
from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage import run_files
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder

BASE = "microgpt_chat_10m_v5"
DECLARED = {
    name: file for name, file in vars(RunFiles).items() if isinstance(file, run_files._File)
}
STAY = {
    ".lock", "tokenizer.json", "tokenizer.meta.json", "corpora.json", "train.tokens",
    "val.tokens", "replay.tokens", "replay_val.tokens",
}  # fmt: skip
NOT_OURS = {
    "notes.txt", "loss.png", "model.bin", "microgpt_chat_mine_v5.bin", f"{BASE}_01k.bin",
    f"{BASE}_best.bin", "teach.jsonl.bak", "teach.old.jsonl", "my_metrics.jsonl",
    "tensorboard/notes.txt", f"older/{BASE}.bin", "older/metrics.jsonl",
    "tensorboard/events.out.tfevents.2.another_program",
}  # fmt: skip


def of_model() -> set[str]:
    names = {"teach.1.jsonl", "teach.12.jsonl", "teach_base.1.safetensors"}
    for base in map(checkpoint_base, PRESETS):
        names |= {f"{base}.bin", f"{base}_train.bin", f"{base}_7.bin", f"{base}_10k.bin"}
        names |= {f"{base}_train.1.bin"}
    some = RunFiles("run")
    declared = [getattr(some, name) for name, file in DECLARED.items() if file.of_model]
    return names | {
        path.relative_to("run").as_posix().replace("*", "out.tfevents.1.here") for path in declared
    }


def fill(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("" if name not in NOT_OURS else name)


def there(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files}


def test_names_in_a_folder_that_need_not_be_there(tmp_path):
    run = RunFiles(tmp_path / "run")
    names = {name: getattr(run, name).relative_to(run.path).as_posix() for name in DECLARED}
    assert names == {
        "lock": ".lock",
        "tokenizer": "tokenizer.json",
        "tokenizer_origin": "tokenizer.meta.json",
        "summaries": "corpora.json",
        "train_tokens": "train.tokens",
        "held_out_tokens": "val.tokens",
        "replay_tokens": "replay.tokens",
        "replay_held_out_tokens": "replay_val.tokens",
        "metrics": "metrics.jsonl",
        "samples": "samples.txt",
        "board_events": "tensorboard/events.*",
        "finetune_metrics": "finetune.jsonl",
        "rl_metrics": "rl.jsonl",
        "lessons": "teach.jsonl",
        "lessons_base": "teach_base.safetensors",
        "question": "teach_question.json",
    }
    assert run.checkpoint(BASE).name == f"{BASE}.bin"
    assert run.checkpoint(BASE, 10_000).name == f"{BASE}_10k.bin"
    assert run.finetuned(BASE).name == f"{BASE}_train.bin"
    assert run.numbered(run.lessons, 2).name == "teach.2.jsonl"
    assert run.numbered(run.lessons_base, 2).name == "teach_base.2.safetensors"
    assert not run.path.exists()


def test_nothing_of_the_model_is_left_and_all_else_is(tmp_path):
    fill(tmp_path, of_model() | STAY | NOT_OURS)
    with RunFolder(tmp_path) as run:
        assert {path.name for path in run.journals()} == {
            "teach.jsonl", "teach.1.jsonl", "teach.12.jsonl",
        }  # fmt: skip
        assert len(run.token_caches()) == 4
        run.delete_model()
        assert there(tmp_path) == STAY | NOT_OURS
        assert run.of_model() == run.checkpoints() == run.journals() == []
        run.delete_model()  # when there is nothing


@pytest.mark.parametrize("name", sorted(STAY))
def test_what_stays_is_not_of_the_model(name):
    files = [file for file in DECLARED.values() if str(file._name) == name]
    assert [file.of_model for file in files] == [False]


def test_no_other_module_spells_a_name():
    ours = "|".join(re.escape(str(file._name)) for file in DECLARED.values())
    spelled = re.compile(rf"""["'/](?:{ours}|tensorboard/[^"'\s]*)["']""")
    root = Path(vidya.__file__).parent
    found = {
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        if path.name != "run_files.py"
        for line in path.read_text().splitlines()
        if spelled.search(line)
    }
    # where a tokenizer goes that belongs to no run
    assert found == {'tokenizer.py: out: Path = Path("tokenizer.json"),'}
