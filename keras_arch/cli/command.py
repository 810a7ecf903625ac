"""The `keras-arch` command: argument parsing, exit codes, one line for each expected failure."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import keras_arch
from keras_arch.cli.demo.run import DemoError, run_demo
from keras_arch.cli.demo.screen import Screen

EXAMPLE = """examples:
  keras-arch demo
  keras-arch demo --out my_run --epochs 5 --seed 1
  tensorboard --logdir keras_arch_demo/logs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `keras-arch` command.

    Args:
        arguments: words after the command's name; None takes those the program was started with.
    Returns:
        Exit code: 0 done, 1 something was missing or not writable, 2 wrong usage, 130 interrupted.

    >>> main(["demo", "--epochs", "0"])
    Traceback (most recent call last):
    SystemExit: 2
    """
    options = _parser().parse_args(arguments)
    screen = Screen()
    # Its warnings are advice to programmers, such as on retracing; errors still show.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        return run_demo(options.out, epochs=options.epochs, seed=options.seed, screen=screen)
    except (DemoError, ImportError, OSError) as error:
        screen.fail(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-arch",
        description="Build, shrink and understand Keras 3 models.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"keras-arch {keras_arch.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train, prune, quantize and explain models of handwritten digits",
        description="Trains a CNN, a Transformer and a recurrent net on scikit-learn's handwritten digits; prunes, "
        "quantizes and explains the CNN; writes pictures, models, an event log and report.json.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("keras_arch_demo"),
        metavar="DIR",
        help="folder to write (default: %(default)s)",
    )
    demo.add_argument(
        "--epochs", type=_positive, default=20, metavar="N", help="training epochs of each model (default: %(default)s)"
    )
    demo.add_argument("--seed", type=_natural, default=0, metavar="S", help="random seed (default: %(default)s)")
    return parser


def _positive(text: str) -> int:
    number = _natural(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1; received 0")
    return number


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, zero or more; received {text!r}")
    if int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be below 2**32; received {text}")
    return int(text)
