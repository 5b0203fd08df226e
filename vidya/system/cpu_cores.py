"""How many cores this process may use: affinity, and the CPU quotas of its control groups.

A container or a systemd unit is limited by a quota of CPU time rather than by affinity.
More threads than the quota pays for are stopped for part of every period, and a pool
whose threads wait for each other then stands still as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self")
"""Where the system says which control groups this process is in."""


def usable_cores() -> int:
    """Cores that this process may use: affinity and cgroup quotas, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def cgroup_quota() -> float | None:
    """Cores that the CPU quotas of this process's control groups leave it; None: no quota.

    A quota of any group above counts too. Both versions of control groups are looked at.
    """
    quotas = (_quota_v2(folder) or _quota_v1(folder) for folder in control_groups("cpu"))
    return min((quota for quota in quotas if quota is not None), default=None)


def control_groups(controller: str) -> Iterator[Path]:
    """Folders of this process's control groups that limit `controller`, and of those above.

    Of version 2, where all controllers share one tree, and of version 1.
    """
    for mount, group in _groups(controller):
        yield group
        while group != mount:
            group = group.parent
            yield group


def _groups(controller: str) -> Iterator[tuple[Path, Path]]:
    """Folders of mounted cgroup trees for `controller`, and of this process's groups there."""
    try:
        groups = dict(_memberships((PROC / "cgroup").read_text("utf-8", "replace")))
        mounts = (PROC / "mountinfo").read_text("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return
    for line in mounts:
        # ID parent device ROOT MOUNT options tags … - TYPE source SUPEROPTIONS
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(kind) < 3:
            continue
        v2 = kind[0] == "cgroup2"
        if not v2 and (kind[0] != "cgroup" or controller not in kind[2].split(",")):
            continue
        group = groups.get("" if v2 else controller)
        if group is not None:
            root, mount = fields[3], Path(_unescaped(fields[4]))
            yield mount, mount / _below(group, _unescaped(root))


def _memberships(text: str) -> Iterator[tuple[str, str]]:
    """Controller and group of each line of /proc/self/cgroup; "" stands for version 2."""
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, group


def _below(group: str, root: str) -> str:
    """Path of `group` under a mount that shows `root`; "" where it lies outside of it."""
    if root != "/":
        inside = group == root or group.startswith(root + "/")
        group = group[len(root) :] if inside else "/"
    parts = [part for part in group.split("/") if part]
    return "" if ".." in parts else "/".join(parts)


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text("utf-8", "replace").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # absent, or "max"
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text("utf-8", "replace"))
        period = int((folder / "cpu.cfs_period_us").read_text("utf-8", "replace"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _unescaped(path: str) -> str:
    """A path of mountinfo, where space, tab, newline and backslash are octal."""
    for code in ("040", "011", "012", "134"):
        path = path.replace("\\" + code, chr(int(code, 8)))
    return path
