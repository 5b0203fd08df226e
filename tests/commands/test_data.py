import gzip
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import run_command_process

from vidya.corpora import chitchat
from vidya.corpora.combine import combine_corpora
from vidya.errors import UserError
from vidya.text import corpus_file

DIALOGUES = "Hi . __eou__ Hello . __eou__\nAlone . __eou__\nA __eou__ B __eou__ C __eou__\n"


def run(*arguments, **options) -> subprocess.CompletedProcess[str]:
    return run_command_process("data", *arguments, **options)


def assert_user_error(done, *words: str) -> None:
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


def lines(path: Path) -> list[str]:
    return list(corpus_file.read_documents(path))


def files_of(folder: Path, *contents: list[str]) -> list[Path]:
    paths = []
    for number, documents in enumerate(contents):
        paths.append(folder / f"in{number}.txt")
        paths[-1].write_bytes("".join(f"{d}\n" for d in documents).encode())
    return paths


# ---------------------------------------------------------------- converters


def test_chitchat(tmp_path):
    out = tmp_path / "new" / "folder" / "c.txt"
    done = run("chitchat", "--out", out)
    assert done.returncode == 0, done.stderr
    expected = list(chitchat.chitchat_documents())
    assert lines(out) == expected
    assert f"{len(expected):,} documents, {out.stat().st_size:,} bytes" in done.stdout
    assert f"dropped: {7168 - len(expected):,} one-sided" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_dailydialog(tmp_path):
    text, packed = tmp_path / "d.txt", tmp_path / "d.zip"
    text.write_text(DIALOGUES)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train/dialogues_train.txt", "x __eou__ y")
    out = tmp_path / "c.txt"
    done = run("dailydialog", text, packed, "--out", out)
    assert lines(out) == [
        "<|user|> Hi. <|assistant|> Hello.",
        "<|user|> A <|assistant|> B <|user|> C",
        "<|user|> x <|assistant|> y",
    ]
    assert "3 documents" in done.stdout
    assert "dropped: 1 fewer than two turns" in done.stdout


def test_text(tmp_path):
    one, two = tmp_path / "1.txt", tmp_path / "2.txt"
    one.write_bytes(b"\xef\xbb\xbfone\r\n\r\n")
    two.write_bytes("<|user|> zwei\u2028".encode())
    out = tmp_path / "c.txt"
    done = run("text", one, two, "--out", out)
    assert out.read_bytes() == "one\n<|user|> zwei\u2028\n".encode()
    assert "2 documents, 21 bytes; dropped: none" in done.stdout


def test_text_through_a_pipe_with_separators(tmp_path):
    out = tmp_path / "c.txt"
    raw = gzip.compress("a\nb\n---\nc\n".encode("utf-16"))
    done = run("text", "-", "--separator", "---", "--out", out, stdin=raw)
    assert done.returncode == 0, done.stderr
    assert lines(out) == ["a↵b", "c"]
    assert done.stderr.splitlines()[1:] == ["standard input is UTF-16: read as that"]
    assert "standard input can be read only once" in done.stderr
    assert_user_error(run("text", "-", "--separator", "---", "--by", "file", "--out", out), "give")


# ---------------------------------------------------------------- combine

NO_TEXT = "\r\n\ufeff\x7f" + "".join(map(chr, [*range(9), *range(14, 32)]))
documents = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters=NO_TEXT), min_size=1, max_size=3)
)


@given(st.lists(documents, min_size=1, max_size=3), st.integers(0, 2**70))
def test_combine_keeps_every_document_once(tmp_path_factory, contents, seed):
    folder = tmp_path_factory.mktemp("c")
    paths = files_of(folder, *contents)
    wanted = {d for some in contents for d in some if d.strip()}
    if not wanted:
        with pytest.raises(UserError, match="holds no document"):
            combine_corpora(paths, folder / "out.txt", seed=seed)
        return
    total = sum(len(lines(path)) for path in paths)
    report = combine_corpora(paths, folder / "out.txt", seed=seed)
    assert sorted(lines(folder / "out.txt")) == sorted(wanted)
    repeated = total - len(wanted)
    assert sum(one.duplicates for one in report.inputs) == repeated
    assert sum(one.documents for one in report.inputs) == total
    assert report.train.documents == len(wanted)


def test_combine_shuffles_by_seed(tmp_path):
    paths = files_of(tmp_path, [f"a{i}" for i in range(50)], [f"b{i}" for i in range(50)])
    orders = []
    for number, seed in enumerate([0, 0, 1]):
        combine_corpora(paths, tmp_path / f"{number}.txt", seed=seed)
        orders.append(lines(tmp_path / f"{number}.txt"))
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])
    assert len({line[0] for line in orders[0][:20]}) == 2


def test_the_validation_split_never_moves(tmp_path):
    many = [f"document {i}" for i in range(1000)]
    (path,) = files_of(tmp_path, many)
    val = tmp_path / "val.txt"
    combine_corpora([path], tmp_path / "o.txt", val_out=val, val_fraction=0.1)
    held_out, rest = set(lines(val)), set(lines(tmp_path / "o.txt"))
    assert held_out | rest == set(many)
    assert not held_out & rest
    assert 60 < len(held_out) < 140
    # Another order, another seed, more documents around them: they stay where they are.
    (path,) = files_of(tmp_path, ["new", *reversed(many), *many])
    combine_corpora([path], tmp_path / "o.txt", val_out=val, val_fraction=0.1, seed=5)
    assert set(lines(val)) - {"new"} == held_out


def test_combine_command(tmp_path):
    many = [f"document {i}" for i in range(200)]
    one, two = files_of(tmp_path, many, many[:50])
    out, val = tmp_path / "o.txt", tmp_path / "v.txt"
    done = run("combine", one, two, "--out", out, "--val-out", val, "--val-fraction", 0.25)
    size = one.stat().st_size, two.stat().st_size
    assert done.stdout.splitlines() == [
        f"{one}: 200 documents, {size[0]:,} bytes; dropped: none; {len(lines(val))} held out",
        f"{two}: 50 documents, {size[1]:,} bytes; dropped: 50 duplicate",
        f"{out}: {len(lines(out))} documents, {out.stat().st_size:,} bytes",
        f"{val}: {len(lines(val))} documents, {val.stat().st_size:,} bytes",
    ]
    assert len(lines(out)) + len(lines(val)) == 200


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("command", ["text", "combine", "dailydialog"])
def test_bad_inputs(tmp_path, command):
    out = tmp_path / "out.txt"
    empty, latin = tmp_path / "empty.txt", tmp_path / "latin.txt"
    empty.write_bytes(b"")
    latin.write_bytes(b"a __eou__ b\n\xe4\n")
    assert_user_error(run(command, latin, "--out", out), "latin.txt, line 2", "--encoding")
    assert_user_error(run(command, empty, "--out", out), "empty.txt")
    assert_user_error(run(command, tmp_path / "none.txt", "--out", out), "none.txt")
    assert_user_error(run(command, tmp_path, "--out", out), "is a folder")
    assert_user_error(run(command, "--out", out), "name at least one file")
    assert_user_error(run(command, latin, "--out", tmp_path), "is a folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.txt", "latin.txt"]


@pytest.mark.parametrize("command", ["text", "combine", "dailydialog"])
def test_an_input_is_never_overwritten(tmp_path, command):
    path, link, hard = tmp_path / "d.txt", tmp_path / "link.txt", tmp_path / "hard.txt"
    path.write_text(DIALOGUES)
    link.symlink_to(path)
    os.link(path, hard)
    for out in (path, link, hard, tmp_path / "." / "d.txt"):
        assert_user_error(run(command, path, "--out", out), "named as another file")
    assert path.read_text() == DIALOGUES


def test_bad_splits(tmp_path):
    (path,) = files_of(tmp_path, ["only one"])
    out, val = tmp_path / "o.txt", tmp_path / "v.txt"
    split = ["--out", out, "--val-out", val]
    assert_user_error(run("combine", path, *split), "1 different documents are too few")
    assert_user_error(run("combine", path, *split, "--val-fraction", 1.5), "fraction")
    assert_user_error(run("combine", path, "--out", out, "--val-out", out), "named as another file")
    assert_user_error(
        run("combine", path, "--out", out, "--val-out", path), "named as another file"
    )
    assert not out.exists()
    assert not val.exists()


def test_a_failure_leaves_the_old_output(tmp_path):
    path, out = tmp_path / "in.txt", tmp_path / "out.txt"
    path.write_bytes(b"fine\n" * 1000 + b"\xff\n")
    out.write_text("old\n")
    assert_user_error(run("text", path, "--out", out), "line 1001")
    assert out.read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.txt", "out.txt"]


def test_a_full_disk(tmp_path):
    path, out = tmp_path / "in.txt", tmp_path / "out.txt"
    path.write_text("a line of text\n" * 100_000)
    out.write_text("old\n")
    assert_user_error(run("text", path, "--out", out, file_limit=200_000), "out.txt")
    assert out.read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.txt", "out.txt"]
