"""``dyna-nav``: the command line."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dyna_nav import __version__

USAGE_ERROR = 2
INTERRUPTED = 130  # as a shell reports SIGINT
COMMANDS = {  # name: module with add_arguments(parser) and run(arguments) -> exit status
    "fleet": ("dyna_nav.nodes.fleet_command", "drive a fleet in the simulator, over real ROS topics"),
    "train": ("dyna_nav.world_model.train_command", "train a model bundle"),
    "evaluate": ("dyna_nav.evaluation.command", "compare controllers in lockstep, without ROS"),
    "campaign": ("dyna_nav.evaluation.campaign_command", "make the page of results from a list of evaluations"),
    "warmup": ("dyna_nav.warmup_command", "compile every kernel, so that later commands start at once"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: parse, run, and turn what cannot be done into one sentence on stderr and exit status 2.

    Ctrl-C or SIGTERM, wherever they strike, end with exit status 130.
    """
    try:
        with _ended_like_interrupted():
            return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


@contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="dyna-nav", description="Learned, safe navigation for fleets of robots.")
    parser.add_argument("--version", action="version", version=f"dyna-nav {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        if name == chosen:  # others stay unloaded: training needs torch, the fleet needs ROS
            command.set_defaults(run=_load(parser, module, command))
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"dyna-nav {options.command}: {error}", file=sys.stderr)
        return USAGE_ERROR


def _load(parser: argparse.ArgumentParser, module: str, command: argparse.ArgumentParser):
    """The run function of a command's module, its arguments added; a missing package ends with one sentence."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("dyna_nav"):
            raise
        parser.exit(USAGE_ERROR, f"dyna-nav: this command needs {error.name}, which is not installed; see README.md\n")
    loaded.add_arguments(command)
    return loaded.run


if __name__ == "__main__":
    sys.exit(main())
