"""The program behind `support.commands`: it makes the imports of vidya's commands once and forks.

Each line of its input is a job (JSON); each line of its output the exit status of a child that
ran the command as `python -m` does. What a child has imported is imported here when it has ended,
so the next one finds it there: a start then costs milliseconds instead of half a second of
processor time.
"""

import contextlib
import importlib
import json
import os
import resource
import runpy
import signal
import sys
from pathlib import Path

import vidya


class _NoTorch:
    """Where torch is installed, tensorboardX spends seconds importing it."""

    def find_spec(self, name, *_):
        if name == "torch":
            raise ImportError(name)


def serve():
    """Take jobs until the input ends. A child returns its job and where to say what it imported."""
    for line in sys.stdin:
        job = json.loads(line)
        here, there = os.pipe()
        child = os.fork()
        if not child:
            os.close(here)
            return job, there
        os.close(there)
        with open(here) as names:
            imported = names.read().split()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        for name in imported:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    return None


def run(job, told):
    """In the child: the command, with everything as the job says."""
    known = set(sys.modules)
    signal.alarm(job["timeout"])
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    files = ("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY)
    for number, (name, how) in enumerate(files):
        os.dup2(os.open(job[name], how), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # the other one has been read from
    if job["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"],) * 2)
    if job["timing_seconds"]:
        importlib.import_module("vidya.training.run_length").TIMING_SECONDS = job["timing_seconds"]
    sys.argv[1:] = job["arguments"]
    try:
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    finally:
        new = [name for name in sys.modules if name not in known and not is_command(name)]
        os.write(told, "\n".join(new)[:60_000].encode())
        os.close(told)


def is_command(name):
    """Whether a module is one that is run and not imported (or of no weight)."""
    package, _, module = name.rpartition(".")
    return package == "vidya" and Path(vidya.__path__[0], f"{module}.py").exists()


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoTorch())
    if (order := serve()) is not None:
        run(*order)
