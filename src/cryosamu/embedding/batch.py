"""Many models, one after the other or several at a time, with the same result."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import torch

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import StructureEmbedding, embed_model
from cryosamu.embedding.encoder import Encoder, load_encoder
from cryosamu.embedding.store import EmbeddingStore

_WAITING_PER_WORKER = 2


def embed_models(
    paths: Sequence[Path], settings: EmbeddingSettings, workers: int = 1
) -> Iterator[StructureEmbedding]:
    """Yield the embedding of each model in the order given, whatever the number of workers.

    Each worker is a process of its own with one thread and its own copy of the weights. Few
    results wait at a time, so that memory does not grow with the number of models. An interrupt
    lets each worker finish the models it has begun.

    Parameters
    ----------
    settings
        `store` is where vectors are looked for first, and kept.

    Raises
    ------
    CryosamuError
        When the encoder cannot be loaded or a model not be embedded; those before it are yielded.
    """
    workers = min(workers, len(paths))
    if workers <= 1:
        for path in paths:
            yield _embed(path, settings.model_dump_json())
        return
    # Forked processes would inherit the state of torch's threads; fresh ones do not.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as executor:
        remaining = iter(paths)
        waiting: deque[Future[StructureEmbedding]] = deque()
        try:
            while True:
                free = _WAITING_PER_WORKER * workers - len(waiting)
                with _held_interrupts():
                    for path in islice(remaining, free):
                        waiting.append(executor.submit(_embed, path, settings.model_dump_json()))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the parent ends them when their model is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    torch.set_num_threads(1)


@cache
def _encoder(settings: str) -> Encoder:
    return load_encoder(EmbeddingSettings.model_validate_json(settings))


def _embed(path: Path, settings: str) -> StructureEmbedding:
    parsed = EmbeddingSettings.model_validate_json(settings)
    store = EmbeddingStore(parsed.store) if parsed.store else None
    return embed_model(path, _encoder(settings), parsed, store)
