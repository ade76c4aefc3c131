"""`python -m ranvier`: demos, what this installation can do, what is in a file.

Parses arguments, no more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ranvier import __version__, _demo, _info
from ranvier._random import checked_seed


def _seed(text: str) -> int:
    """A seed from the command line; argparse reports what is wrong with it."""
    try:
        return checked_seed("demo", int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to 2**64 - 1, got {text!r:.60}"
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ranvier", description="Neural networks on the machine you have."
    )
    parser.add_argument("--version", action="version", version=f"ranvier {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="demo | info | show")
    demo = commands.add_parser("demo", help="watch a network learn; without a name, list the demos")
    demo.add_argument("name", nargs="?", choices=sorted(_demo.DEMOS), help="which demo")
    demo.add_argument("--seed", type=_seed, default=0, help="another start and split (default 0)")
    commands.add_parser("info", help="what this installation can do")
    show = commands.add_parser("show", help="what is in a file: layers, tensors, labels, training")
    show.add_argument("file", help="a file of rv.save, or any safetensors file")
    show.add_argument("--all", action="store_true", help="all layers and names, however many")
    given = parser.parse_args(arguments)
    try:
        return _run(parser, given)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    except BrokenPipeError:  # as in `python -m ranvier info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    if given.command == "demo":
        return _demo.run(given.name, given.seed)
    if given.command == "info":
        _info.show()
        return 0
    if given.command == "show":
        from ranvier import _show  # what reads files is needed by nobody else here

        return _show.show(given.file, given.all)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
