"""How a training's processes come to be: by torchrun, by srun, or started by the command itself.

One command line serves a laptop, several GPUs of a machine and several machines: torchrun and srun
start it once a process and say in its environment which of them it is, and `training.processes`
makes it start itself so many times.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from cryosamu.errors import CryosamuError

_PORTS = range(15_000, 32_000)
"""Below those that Linux hands out by itself."""


@dataclass(frozen=True)
class Place:
    """Which of the processes this one is, and where the first one listens.

    Attributes
    ----------
    rank, size
        From 0, of all on all machines.
    local_rank
        From 0, of those on this machine.
    address
        Of the first process, as `tcp://HOST:PORT`; None where torchrun's own store serves.
    """

    rank: int
    size: int
    local_rank: int
    address: str | None


def place_among_processes(environment: Mapping[str, str]) -> Place | None:
    """Return this process's place as torchrun or srun tells it, None where it is alone.

    A batch script's own environment names the tasks of the whole job, and is none of them: only
    a step's counts.

    Raises
    ------
    CryosamuError
        When SLURM's environment is incomplete.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        rank, size, local = (int(environment[n]) for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return Place(rank, size, local, None)
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
        return None
    try:
        host = environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"])
        return Place(
            int(environment["SLURM_PROCID"]),
            int(environment["SLURM_STEP_NUM_TASKS"]),
            int(environment["SLURM_LOCALID"]),
            f"tcp://{host}:{environment.get('MASTER_PORT') or _port(environment)}",
        )
    except KeyError as error:
        raise CryosamuError(
            f"SLURM says that several tasks train together, but {error.args[0]} is not set; start "
            "them with srun."
        ) from error


def first_host(nodes: str) -> str:
    """Return the first host of a SLURM list of nodes, such as a007 of `a[007-9,12],b1`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    if first is None:
        raise CryosamuError(f"'{nodes}' is not a list of SLURM's nodes; start tasks with srun.")
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first.group())


def _port(environment: Mapping[str, str]) -> int:
    """Return a port that all tasks of a step agree on and that other jobs and steps leave alone."""
    step = int(environment.get("SLURM_STEP_ID", 0))
    return _PORTS[(int(environment["SLURM_JOB_ID"]) * 16 + step) % len(_PORTS)]


def start_processes(count: int) -> NoReturn:
    """Run this very command line in so many processes of this machine, under torchrun; then exit.

    Raises
    ------
    KeyboardInterrupt
        When they were asked to stop, and have.
    SystemExit
        With the status of the first that failed, else 0.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        # torchrun passes on the signals that end a process; this one it does not know.
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGUSR1, pass_on)
    processes = ["--standalone", "--nproc-per-node", str(count)]
    command = ["-m", "cryosamu.cli.main", *sys.argv[1:]]
    try:
        run(parse_args([*processes, *command]))  # type: ignore[no-untyped-call]
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        sys.exit(max(error.get_first_failure()[1].exitcode, 1))  # negative: it was killed
    sys.exit(0)
