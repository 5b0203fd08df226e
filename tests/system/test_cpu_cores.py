"""Cores that a process may use: CPU quotas of control groups, in both versions."""

import os

import pytest

from vidya.system import cpu_cores

HYBRID = (
    "30 23 0:26 / {top}/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
    "33 23 0:29 {root} {top}/cpu,cpuacct rw,relatime shared:11 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 23 0:30 / {top}/memory rw,relatime shared:12 - cgroup cgroup rw,memory\n"
)
PURE = "30 23 0:26 {root} {top} rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine: its mounts, this process's groups, and quotas of folders."""
    monkeypatch.setattr(cpu_cores, "PROC", tmp_path / "proc")
    (tmp_path / "proc").mkdir()
    top = tmp_path / "sys fs"  # a space is \040 in mountinfo

    def make(mounts, groups, quotas, root="/"):
        mounted = mounts.format(top=str(top).replace(" ", "\\040"), root=root)
        (tmp_path / "proc/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounted)
        (tmp_path / "proc/cgroup").write_text(groups)
        for name, value in quotas.items():
            path = top / name
            path.mkdir(parents=True, exist_ok=True)
            if isinstance(value, tuple):
                (path / "cpu.cfs_quota_us").write_text(f"{value[0]}\n")
                (path / "cpu.cfs_period_us").write_text(f"{value[1]}\n")
            else:
                (path / "cpu.max").write_text(value + "\n")

    return make


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({".": "max 100000"}, None),
        ({".": "150000 100000"}, 1.5),  # a container that sees its own group as the top
        ({"a.slice/b.scope": "300000 100000", ".": "max 100000"}, 3.0),
        ({"a.slice/b.scope": "max 100000", "a.slice": "50000 100000"}, 0.5),
        ({"a.slice/b.scope": "800000 100000", "a.slice": "200000 100000"}, 2.0),
        ({"a.slice/other": "100000 100000"}, None),
        ({".": "rubbish"}, None),
        ({".": "1 0"}, None),
        ({}, None),
    ],
)
def test_version_2(machine, quotas, expected):
    machine(PURE, "0::/a.slice/b.scope\n", quotas)
    assert cpu_cores.cgroup_quota() == expected


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({"cpu,cpuacct/docker/abc": (-1, 100000)}, None),
        ({"cpu,cpuacct/docker/abc": (250000, 100000)}, 2.5),
        ({"cpu,cpuacct/docker/abc": (-1, 100000), "cpu,cpuacct/docker": (50000, 50000)}, 1.0),
        ({"cpu,cpuacct": (400000, 100000)}, 4.0),
        ({"memory/docker/abc": (100000, 100000), "unified": "max 100000"}, None),
        ({"cpu,cpuacct/docker/abc": (250000, 100000), "unified/x": "100000 100000"}, 1.0),
    ],
)
def test_version_1_and_both(machine, quotas, expected):
    groups = "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/y\n0::/x\n"
    machine(HYBRID, groups, quotas)
    assert cpu_cores.cgroup_quota() == expected


def test_a_mount_that_shows_the_containers_own_group(machine):
    """The path is the host's, the mount begins at it."""
    machine(HYBRID, "4:cpu,cpuacct:/docker/abc\n", {"cpu,cpuacct": (300000, 100000)}, "/docker/abc")
    assert cpu_cores.cgroup_quota() == 3.0
    machine(PURE, "0::/docker/abc/inner\n", {"inner": "200000 100000"}, "/docker/abc")
    assert cpu_cores.cgroup_quota() == 2.0


def test_a_group_outside_of_the_mount(machine):
    machine(PURE, "0::/../sibling\n", {".": "200000 100000"})
    assert cpu_cores.cgroup_quota() == 2.0
    machine(PURE, "0::/dockerabc\n", {".": "100000 100000"}, "/docker")
    assert cpu_cores.cgroup_quota() == 1.0


def test_nothing_to_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_cores, "PROC", tmp_path)
    assert cpu_cores.cgroup_quota() is None
    (tmp_path / "cgroup").write_text("what is this\n")
    (tmp_path / "mountinfo").write_text("\n\n- -\n")
    assert cpu_cores.cgroup_quota() is None


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 8), (0.5, 1), (1.0, 1), (1.9, 1), (2.0, 2), (7.99, 7), (64.0, 8)]
)
def test_the_smaller_of_affinity_and_quota(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cpu_cores, "cgroup_quota", lambda: quota)
    assert cpu_cores.usable_cores() == expected


def test_affinity_of_this_process():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpu_cores.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
