"""Serve a model, with a page and OpenAI's API: `python -m vidya.serve [MODEL] [--port 8000]`.

- The address in a browser is a page: chat, teach the model by choosing among answers, see its run.
- /v1/chat/completions, /v1/completions and /v1/models, for OpenAI's and other clients; /health,
  /metrics for Prometheus, /openapi.json. docs/SERVING.md says what they take.
- Many clients at one time; the same seed gives the same reply, whoever else is there.
- Only this machine can reach it, unless --host names an address; then it needs a key.
- Ctrl-C ends it.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from vidya.errors import UserError
from vidya.generation.precision import WeightPrecision
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import ResultsOption, ThreadsOption, require_at_least
from vidya.terminal.streams import output_is_not_essential, say

KEY = "VIDYA_API_KEY"
NEEDED = ("starlette", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ResultsOption, ThreadsOption):
    """What `python -m vidya.serve` is asked to do."""

    model: Path | None = None
    """A checkpoint or a run folder; by default the newest run in runs/."""
    host: str = "127.0.0.1"
    """Address to listen on; any but one of this machine alone needs a key."""
    port: int = 8000
    """Port to listen on; 0: any that is free."""
    api_key: str | None = None
    """Key that clients must send. The environment variable VIDYA_API_KEY does the same, and other
    users of the machine do not see it."""
    cors_origins: tuple[str, ...] = ()
    """Sites whose pages may ask, such as https://chat.example.org; * for all. Default: none."""
    teach: Literal["auto", "yes", "no"] = "auto"
    """Whether the model may be taught: auto, where only this machine can reach the server."""
    out: Path | None = None
    """Folder for lessons and the taught model, which becomes a run folder of its own. Default: the
    model's own folder."""
    queue: int = 64
    """How many texts may wait while 16 are written; more are refused, to be tried again later."""
    precision: Literal["auto", WeightPrecision] = "auto"
    """Numbers that the weights are kept in: fewer bytes are faster, and a little less exact.
    auto: bf16 where the processor has it, else fp32."""

    def check(self) -> None:
        """`UserError` for a value that cannot work."""
        super().check()
        require_at_least(0, self, "queue")
        if not 0 <= self.port < 2**16:
            raise UserError(f"--port must be between 0 and {2**16 - 1}, not {self.port}")
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise UserError("--api-key must be of visible ASCII characters, without spaces")
        for origin in self.cors_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise UserError(
                    f"--cors-origins takes origins such as https://a.example, not {origin}"
                )


def main() -> int | None:
    """Run `python -m vidya.serve`."""
    return serve(parse(ServeOptions, "serve", description=__doc__, positional="model"))


def serve(options: ServeOptions) -> int:
    """Load the model and serve it until a signal comes."""
    options.check()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(
            f"serving needs {' and '.join(missing)}: python -m pip install {' '.join(missing)}"
        )
    output_is_not_essential()
    from vidya.storage.pretrained import load_pretrained

    pretrained = load_pretrained(options.model)  # opens the checkpoint before it imports NumPy
    from vidya.model.precision import resolve_precision
    from vidya.serving import web_server
    from vidya.training import thread_choice

    listening = web_server.listen(options.host, options.port)
    api_key = options.api_key or os.environ.get(KEY) or None
    if api_key is None and not web_server.is_loopback(listening):
        raise UserError(
            f"--host {options.host} lets other machines ask: set {KEY}, or --api-key, to a secret"
        )
    thread_choice.use(options.threads)
    precision = resolve_precision(options.precision)
    say(f"{pretrained.describe(precision)}")
    teach = options.teach == "yes" or (
        options.teach == "auto" and web_server.is_loopback(listening)
    )
    path = pretrained.checkpoint_path.absolute()
    if options.model is None or not options.model.is_file():
        path = path.parent
    at = web_server.address_of(listening)
    web_server.serve(
        pretrained, precision, listening, host=options.host, api_key=api_key,
        origins=options.cors_origins, queue=options.queue,
        taught=web_server.TaughtWhere(path, options.out) if teach else None, say=say,
        ready=lambda model: say(
            f"{model.name} is served at {at}/v1, and to a browser at {at}/; Ctrl-C ends it"
        ),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
