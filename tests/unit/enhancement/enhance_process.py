"""The command in a process of its own, to be interrupted from outside."""

import os
import subprocess
import sys


def arguments_of(folder, output, *options, given=("map.mrc",)):
    return [
        "enhance", *(str(folder / name) for name in given), "-o", str(output), "--device", "cpu",
        "--checkpoint", str(folder / "net.safetensors"), *map(str, options),
    ]  # fmt: skip


def started(arguments, before=""):
    """The command in a process of its own, which no signal is ignored in, as under nohup."""
    listen = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    script = f"{listen}\n{before}\nimport sys; from cryosamu.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
