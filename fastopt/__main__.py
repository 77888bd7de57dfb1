"""The command line: ``fastopt demo``, ``fastopt bench`` and ``fastopt info``, also as ``python -m fastopt``."""

import argparse
import os
import sys

import fastopt

from ._cli import bench, demo
from ._cli.arguments import UsageError

COMMANDS = {
    "demo": (demo, "train a small neural network with ten methods and compare them"),
    "bench": (bench, "measure the speed of every optimizer on this machine"),
}


def _parser():
    parser = argparse.ArgumentParser(prog="fastopt", description="Stochastic optimizers for NumPy and SciPy.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    info = commands.add_parser("info", help="print version, build, instruction set and threads")
    info.set_defaults(run=lambda arguments: fastopt.show_versions())
    return parser


def _silence_stdout():
    """Point standard output at the null device: else the interpreter's last flush fails again and prints an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv=None):
    """Run one command and return its exit code: 0, 2 (wrong use), 130 (interrupted) or 141 (broken pipe)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()  # a reader that has left is noticed here, not at exit
    except UsageError as error:
        print(f"fastopt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastopt: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())
