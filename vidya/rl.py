"""Let a Python function teach a model: `python -m vidya.rl --reward module:function`."""

from __future__ import annotations

from vidya.errors import UserError, place_chosen_with
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.help_page import HelpPage
from vidya.terminal.streams import output_is_not_essential

PAGE = HelpPage(
    examples=(
        (
            "--reward vidya.rewards:length --settings target=8 unit=words",
            "replies of about eight words",
        ),
        ("--reward my_rewards:polite --steps 50", "a function of your own, in my_rewards.py"),
        ("--reward vidya.rewards:no_repeats --out runs/calm", "into a folder of its own"),
    ),
    groups={
        "basic": ("reward", "settings", "model", "prompts", "steps", "out", "seed"),
        "learning": ("lr", "prompts_per_step", "group", "max_tokens", "kl", "most_forgetting"),
        "expert": ("inner_steps", "clip", "eval_every", "eval_tokens", "threads"),
    },
)


@place_chosen_with("--out")
def main() -> int | None:
    """Parse the command line and run; see `RlOptions` for the options."""
    options = parse(RlOptions, "rl", page=PAGE)
    options.check()
    output_is_not_essential()
    from vidya.posttraining.reinforcement.loop import reinforce

    try:
        return reinforce(options)
    except MemoryError as error:
        raise UserError(
            "not enough memory: choose a smaller --group, --prompts-per-step or --max-tokens"
        ) from error


if __name__ == "__main__":
    raise SystemExit(run_command(main))
