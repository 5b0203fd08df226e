"""Let a Python function teach a model: `python -m vidya.rl --reward module:function`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vidya.errors import UserError, run_command
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.terminal.command_line import parse
from vidya.terminal.streams import say

if TYPE_CHECKING:
    from vidya.posttraining.reinforcement.loop import RlLoop


def main() -> int | None:
    """Parse the command line and run; see `RlOptions` for the options."""
    options = parse(RlOptions, "rl")
    options.check()
    from vidya.posttraining.reinforcement.loop import open_rl

    try:
        with open_rl(options) as loop:
            loop.run(loop.trained_run.folder.rl_metrics)
            _report(loop)
            return loop.exit_status
    except MemoryError as error:
        raise UserError(
            "not enough memory: choose a smaller --group, --prompts-per-step or --max-tokens"
        ) from error


def _report(loop: RlLoop) -> None:
    """Say what came out and where it is."""
    lines, step, path = [], loop.saved_step or 0, loop.trained_run.path
    if means := loop.first_and_last():
        first, last = means
        lines.append(
            f"replies:        {first.tokens:.1f} -> {last.tokens:.1f} tokens, reward "
            f"{first.reward:.3f} -> {last.reward:.3f}, KL {last.divergence:.4f} nats per token"
        )
    if len(loop.held_out) > 1:
        before, after = loop.held_out[0].loss, loop.held_out[-1].loss
        lines.append(
            f"held-out:       loss {before:.4f} -> {after:.4f} ({after / before - 1:+.1%})"
        )
    folder = shlex.quote(str(path.parent))
    if step:
        lines += [
            f"model:          {path}, after step {step}",
            f"talk to it:     python -m vidya.chat {folder}",
            f"see its course: python -m vidya.plot {folder} --what rl",
        ]
    if loop.interrupted:
        saved = f"saved as {path}" if step else "nothing was learnt, nothing saved"
        say(f"stopped after step {step} of {loop.total}: {saved}")
    elif not step:
        lines.append("nothing was saved: the first steps forgot too much: lower --lr")
    print("\n".join(lines))


if __name__ == "__main__":
    raise SystemExit(run_command(main))
