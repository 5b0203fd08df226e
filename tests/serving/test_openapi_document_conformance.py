"""Schemathesis asks the running server what its description allows, and what it does not."""

import subprocess
import sys

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.commands import environment
from support.running_server import running

pytestmark = pytest.mark.extras
SHORT = "import vidya.serving.request_fields as fields; fields.MOST_TOKENS = 4"
"""So that no text of those that are asked for takes long."""
UNCHECKED = "positive_data_acceptance"
"""A schema cannot say that the last message is the user's, or which ids and names there are."""


def test_the_server_does_as_its_description_says(run_folder, tmp_path):  # noqa: F811
    pytest.importorskip("schemathesis")
    with running(run_folder, first=SHORT) as (address, _):
        asked = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
                "--checks", "all", "--exclude-checks", UNCHECKED, "--max-examples", "12",
                "--phases", "fuzzing", "--no-color",
                "--generation-deterministic",
            ],
            cwd=tmp_path, env=environment(NO_PROXY="127.0.0.1"), capture_output=True, text=True,
        )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
