"""What a person sees of a training: durations, sizes, plain lines, and a bar that fits."""

import io
import os
import pty
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.terminal import progress_display
from vidya.terminal.formatting import byte_size, duration, fitting
from vidya.terminal.progress_display import ProgressDisplay, counted_progress, waiting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (59.9, "59s"), (60, "1m 00s"), (200, "3m 20s"), (3599, "59m 59s"),
        (3600, "1h 00m"), (18120, "5h 02m"), (86399, "23h 59m"), (86400, "1d 00h"),
        (3.5 * 86400, "3d 12h"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(512e6, "512 MB"), (1.28e9, "1.3 GB"), (999e6, "999 MB"), (0, "0 MB")]
)
def test_size(count, text):
    assert byte_size(count) == text


@given(st.lists(st.text("abc ", max_size=8), min_size=1, max_size=6), st.integers(0, 60))
def test_fitting_takes_as_many_parts_as_there_is_room_for(parts, width):
    shown = fitting(parts, width)
    taken = next(n for n in range(len(parts), 0, -1) if shown == " · ".join(parts[:n]))
    assert len(shown) <= width or taken == 1
    if taken < len(parts):
        assert len(" · ".join(parts[: taken + 1])) > width


# ---------------------------------------------------------------- without a terminal


def test_plain_lines_now_and_then(capsys, monkeypatch):
    """A line every ten seconds and one at the end, with averages of what came since."""
    now = [1000.0]
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: now[0])
    with ProgressDisplay(100, 0) as display:
        for step in range(1, 101):
            now[0] += 0.3
            display.step(step, 2.0 + step % 2, 600, 0.3, 64_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    steps = [int(re.match(r"step (\d+) of 100  loss ", line)[1]) for line in lines]
    assert steps == [34, 68, 100]
    assert lines[0].endswith("  2,000 tokens/s  19s left  64 MB")
    assert lines[2].endswith("  2,000 tokens/s  0s left  64 MB")
    losses = [float(re.search(r"loss (\d\.\d+)", line)[1]) for line in lines]
    assert losses == pytest.approx([2.5, 2.5, 2.5], abs=0.02)


def test_an_evaluation_is_a_line(capsys):
    with ProgressDisplay(10, 0) as display:
        display.held_out(5, 1.23456, "1.2346 bits per byte")
        display.one_line("  hi → [bold]you\nand\x1f[/bold]")
        display.one_line("  hi → " + 50 * "word ")
    evaluation, reply, long = capsys.readouterr().err.splitlines()
    assert evaluation == "step 5: unseen text 1.2346 bits per byte"
    assert reply == "  hi → [bold]you and\ufffd[/bold]"
    assert long.startswith("  hi → word word") and long.endswith(" word …") and len(long) <= 120


def test_words_of_ones_own(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: now[0])
    with ProgressDisplay(10, 0) as display:
        for step in range(1, 11):
            now[0] += 4
            display.show(step, [f"reward {step}", "KL 0"], 4.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 3 of 10  reward 3  KL 0  28s left"
    assert [line.split()[1] for line in lines] == ["3", "6", "9", "10"]


# ---------------------------------------------------------------- work in parts, and waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_waiting_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with waiting("Training"):
        pass
    assert "Training …" in terminal.getvalue()
    assert re.search(r"Training: \d+\.\d s\n$", terminal.getvalue())


def test_waiting_without_a_terminal(capsys):
    with waiting("Training"):
        assert capsys.readouterr().err == "Training …\n"
    assert re.fullmatch(r"Training: \d+\.\d s\n", capsys.readouterr().err)
    with pytest.raises(ValueError, match="no"), waiting("Training"):
        raise ValueError("no")
    assert capsys.readouterr().err == "Training …\n"


def test_bytes_as_plain_lines(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: now[0])
    with counted_progress("Encoding", 30_000_000, in_bytes=True) as advance:
        for part in range(8):
            now[0] += 4
            advance(2_500_000, f"{part} parts")
    assert capsys.readouterr().err == (
        "encoding: 7.5 of 30.0 MB, 2 parts\nencoding: 15.0 of 30.0 MB, 5 parts\n"
    )


def test_a_count_is_a_line_at_the_beginning(capsys, monkeypatch):
    monkeypatch.setattr(progress_display, "LINE_SECONDS", 0.0)
    with counted_progress("a model", 9, begin="measuring a model") as advance:
        advance(9, "")
    with counted_progress("a model", 9, begin="measuring a model", show=False) as advance:
        advance(9, "")
    assert capsys.readouterr().err == "measuring a model\n"


@pytest.mark.parametrize("in_bytes", [False, True])
@pytest.mark.parametrize("total", [None, 2000])
def test_a_count_on_a_terminal(monkeypatch, total, in_bytes):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with counted_progress("a model", total, begin="measuring", in_bytes=in_bytes) as advance:
        advance(2000, "")
    assert "a model" in terminal.getvalue() and "measuring" not in terminal.getvalue()


# ---------------------------------------------------------------- in a terminal


def shown_in_a_terminal(monkeypatch, columns, use, total=2000, done=0):
    """What `use` makes a display write to a terminal of so many columns."""
    controller, terminal = pty.openpty()
    for name in ("LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with open(terminal, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with ProgressDisplay(total, done) as display:
            use(display)
        monkeypatch.undo()
        stderr.flush()
        # read before closing: what is unread is then lost
        text = b""
        os.set_blocking(controller, False)
        while True:
            try:
                text += os.read(controller, 65536)
            except BlockingIOError:
                break
    os.close(controller)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode())
    return re.sub(r" *[\r\n]+", "\n", plain)


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        (20, ""),  # too narrow for anything, but no crash
        (40, "loss 2.500"),
        (60, "loss 2.500 · 8m 20s left"),
        (80, "loss 2.500 · 8m 20s left · unseen 1.234 bits/byte"),
        (99, "loss 2.500 · 8m 20s left · unseen 1.234 bits/byte · 1,200 tokens/s"),
        (200, "loss 2.500 · 8m 20s left · unseen 1.234 bits/byte · 1,200 tokens/s · 1.5 GB"),
    ],
)
def test_the_bar_shows_what_there_is_room_for(monkeypatch, columns, status):
    def use(display):
        display.held_out(900, 1.234, "1.2340 bits per byte")
        display.step(1000, 2.5, 600, 0.5, 1_500_000_000)

    shown = shown_in_a_terminal(monkeypatch, columns, use)
    assert "step 900: unseen text 1.2340 bits per byte" in " ".join(shown.split())
    assert all(len(line) <= columns for line in shown.splitlines())
    last = shown.splitlines()[-1]
    bar = "━" * (4 if columns < 100 else 9)
    if columns >= 40:
        assert re.fullmatch(rf"{bar}━?[╺╸]{bar}━? 1,000 of 2,000 {status}", last)
    assert len(last) <= columns


def test_the_bar_that_stays_has_the_last_evaluation(monkeypatch):
    def use(display):
        display.held_out(900, 1.234, "1.2340 bits per byte")
        display.step(1000, 2.5, 600, 0.5, 1_500_000_000)
        display.held_out(1000, 1.111, "1.1110 bits per byte")

    last = shown_in_a_terminal(monkeypatch, 200, use, total=1000).splitlines()[-1]
    assert last.endswith(
        "of 1,000 loss 2.500 · 0s left · unseen 1.111 bits/byte · 1,200 tokens/s · 1.5 GB"
    )


@pytest.mark.parametrize(
    ("columns", "status"),
    [(20, ""), (40, "reward 0.5"), (60, "reward 0.5 · KL 0.01"), (80, "reward 0.5 · KL 0.01 · 4m")],
)
def test_the_bar_with_words_of_ones_own(monkeypatch, columns, status):
    def use(display):
        display.show(1000, ["reward 0.5", "KL 0.01"], 0.25)

    last = shown_in_a_terminal(monkeypatch, columns, use).splitlines()[-1]
    assert f" 1,000 of 2,000 {status}" in last or columns < 40
    assert len(last) <= columns


def test_the_bar_starts_where_the_run_goes_on(monkeypatch):
    assert "500 of 2,000" in shown_in_a_terminal(monkeypatch, 80, lambda display: None, done=500)


def test_text_above_the_bar_is_no_markup(monkeypatch):
    line = "  'hi' → '[bold]you[/bold] 😀 :smile: [red]'"
    assert line in shown_in_a_terminal(monkeypatch, 80, lambda display: display.say(line))
