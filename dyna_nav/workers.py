"""Processes that run jobs side by side: progress on the way, errors as they are, and gone at once when interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

PROGRESS, RESULT, REFUSED, CRASHED = "progress", "result", "refused", "crashed"


def run_jobs(
    function: Callable[[Any, Callable[[], None]], Any],
    jobs: Sequence[Any],
    processes: int,
    on_progress: Callable[[], None],
    on_result: Callable[[Any], None],
) -> list[Any]:
    """Results of function(job, tell_progress) in the order of jobs; with one process everything happens in this one.

    on_progress is called whenever a job tells progress, on_result with each result as it comes. What a job raises is
    raised here: from another process a ValueError or OSError as ValueError with the same sentence, anything else as
    RuntimeError with its traceback. The other processes are ended first, as they are on an interrupt.
    """
    if processes <= 1 or len(jobs) <= 1:
        results = []
        for job in jobs:
            results.append(function(job, on_progress))
            on_result(results[-1])
        return results
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
    try:
        with _interrupts_wait():
            for _ in range(min(processes, len(jobs))):
                ours, theirs = context.Pipe()
                # No daemon: a job may start processes of its own, which end with its group.
                process = context.Process(target=_work, args=(theirs, function))
                process.start()
                theirs.close()  # or the end of the process would never be seen
                workers[ours] = process
        return _distribute(workers, jobs, on_progress, on_result)
    finally:
        for process in workers.values():
            with suppress(ProcessLookupError):  # it has no group yet, or all of it has ended
                os.killpg(process.pid, signal.SIGTERM)
            process.terminate()
        for process in workers.values():
            process.join()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C is heard when this is over; processes that begin meanwhile never hear it, not even while they load."""
    resource_tracker.ensure_running()  # which would end this when the first process begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _distribute(workers: dict, jobs: Sequence[Any], on_progress, on_result) -> list[Any]:
    results: list[Any] = [None] * len(jobs)
    doing: dict[Connection, int] = {}
    waiting = list(range(len(jobs)))[::-1]
    for connection in workers:
        doing[connection] = waiting.pop()
        connection.send(jobs[doing[connection]])
    while doing:
        for connection in wait(list(doing)):
            try:
                kind, content = connection.recv()
            except (EOFError, ConnectionResetError):  # reset: it ended before it had read what was sent
                workers[connection].join()
                raise RuntimeError(f"a worker process ended with status {workers[connection].exitcode}") from None
            if kind == PROGRESS:
                on_progress()
            elif kind == RESULT:
                results[doing.pop(connection)] = content
                on_result(content)
                if waiting:
                    doing[connection] = waiting.pop()
                    connection.send(jobs[doing[connection]])
            elif kind == REFUSED:
                raise content
            else:
                raise RuntimeError(f"a worker process failed:\n{content}")
    return results


def _end_with_parent() -> None:
    """Leave, with all that was started here, when the parent has ended without a word, as it does when it is killed."""
    multiprocessing.parent_process().join()
    os.killpg(0, signal.SIGTERM)
    os._exit(1)  # whatever a job does about SIGTERM


def _work(connection: Connection, function) -> None:
    """The life of a worker: jobs in, results out, until the parent ends it, as it does when it is interrupted."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            connection.send((RESULT, function(job, lambda: connection.send((PROGRESS, None)))))
        except (ValueError, OSError) as error:  # a sentence for the user; not every OSError can be sent as it is
            connection.send((REFUSED, ValueError(str(error))))
        except Exception:  # a mistake in the program: its traceback would be lost with this process
            connection.send((CRASHED, traceback.format_exc()))
