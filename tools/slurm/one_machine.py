"""Start and stop a real SLURM on this machine, everything it writes under one folder.

Needs Debian's slurmctld, slurmd, slurm-client and munge; neither systemd nor accounting, control
groups or root. Prints what to export:

    eval "$(python tools/slurm/one_machine.py start /tmp/slurm)"
    sinfo
    python tools/slurm/one_machine.py stop /tmp/slurm
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).with_name("slurm.conf")
DAEMONS = ("slurmd", "slurmctld", "munged")
"""In the order in which they are stopped."""

CPUS, MEMORY_MB = 64, 512_000
GPUS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")
SECONDS = 30


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def missing() -> list[str]:
    """Programs that are not installed here."""
    needed = (*DAEMONS, "sbatch", "srun", "squeue", "scontrol", "scancel", "unmunge")
    return [name for name in needed if shutil.which(name, path=search_path()) is None]


def search_path() -> str:
    """Where programs are looked for: daemons lie outside a user's own PATH."""
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


def write_configuration(folder: Path) -> None:
    """Lay out the folder: the configuration, a key, places for state and spool."""
    for name in ("controller", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(mode=0o400)
    key.chmod(0o600)
    key.write_bytes(secrets.token_bytes(1024))
    controller, daemon = free_ports(2)
    text = TEMPLATE.read_text().format(
        folder=folder,
        host=socket.gethostname().split(".")[0],
        user=getpass.getuser(),
        controller_port=controller,
        daemon_port=daemon,
        cpus=CPUS,
        memory_mb=MEMORY_MB,
        gpus=len(GPUS),
    )
    (folder / "slurm.conf").write_text(text)
    # GPUs in name: jobs that ask for one get CUDA_VISIBLE_DEVICES.
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={file}\n" for file in GPUS))
    (folder / "plugstack.conf").touch()
    # Snakemake's SLURM plugin calls srun without any SLURM_* variable of the job's.
    srun = folder / "bin" / "srun"
    program = shutil.which("srun")
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {program} "$@"\n')
    srun.chmod(0o755)


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one of SLURM's or munge's programs against the SLURM of `folder`."""
    environment = {
        **os.environ,
        "PATH": search_path(),
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def start_munge(folder: Path) -> None:
    """Start the daemon that signs what SLURM's programs say to each other."""
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "log", "seed")]
    here = [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    done = call(folder, "munged", "--force", *here, *files)
    if done.returncode:
        sys.exit(f"munged did not start: {done.stderr.strip()}")
    wait_until(lambda: (folder / "munge.socket").is_socket(), "munged did not open its socket")


def start_controller(folder: Path) -> None:
    """Start slurmctld; what jobs it knew is read back from its state."""
    done = call(folder, "slurmctld", "-i", "-f", str(folder / "slurm.conf"))
    if done.returncode:
        sys.exit(f"slurmctld did not start: {done.stderr.strip()}")
    wait_until(
        lambda: call(folder, "scontrol", "ping").returncode == 0, "slurmctld does not answer"
    )


def start(folder: Path) -> None:
    """Start munge, the controller and the one node's daemon; wait until it takes jobs."""
    if missing():
        sys.exit(f"SLURM is not installed here: {', '.join(missing())} not found.")
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: give a new folder.")
    write_configuration(folder)
    try:
        start_munge(folder)
        start_controller(folder)
        done = call(folder, "slurmd", "-f", str(folder / "slurm.conf"))
        if done.returncode:
            sys.exit(f"slurmd did not start: {done.stderr.strip()}")
        idle = lambda: call(folder, "sinfo", "-h", "-o", "%T").stdout.startswith("idle")  # noqa: E731
        wait_until(idle, f"no node became idle, see {folder}/slurmd.log")
    except SystemExit:
        stop(folder)
        raise
    print(f"export SLURM_CONF={shlex.quote(str(folder / 'slurm.conf'))}")
    print(f'export PATH={shlex.quote(str(folder / "bin"))}:"$PATH"')


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Ask until it holds; give up with the sentence after a while."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{otherwise} within {SECONDS} s.")
        time.sleep(0.1)


def stop_daemon(folder: Path, name: str) -> None:
    """End one daemon by its pid file, by force where it does not listen."""
    path = folder / f"{name}.pid"
    if not path.is_file() or not path.read_text().strip():
        return
    process = int(path.read_text())
    for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, how)
        deadline = time.monotonic() + seconds
        while is_alive(process, name):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            path.unlink(missing_ok=True)
            return


def is_alive(process: int, name: str) -> bool:
    """Whether the process still runs, and is what its pid file says."""
    try:
        words = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return f"({name}" in words and ") Z" not in words


def stop(folder: Path) -> None:
    """Cancel what still runs, then end the daemons; the folder with its logs is left."""
    if (folder / "slurmctld.pid").is_file():
        call(folder, "scancel", "--user", getpass.getuser())
        quiet = lambda: not call(folder, "squeue", "-h", "-t", "R,CG,PD").stdout  # noqa: E731
        with contextlib.suppress(SystemExit):
            wait_until(quiet, "jobs did not end")
    for name in DAEMONS:
        stop_daemon(folder, name)


COMMANDS: dict[str, Callable[[Path], None]] = {
    "start": start,
    "stop": stop,
    "start-controller": start_controller,
    "stop-controller": lambda folder: stop_daemon(folder, "slurmctld"),
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    COMMANDS[arguments.command](arguments.folder.resolve())


if __name__ == "__main__":
    main()
