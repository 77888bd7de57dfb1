"""What the commands of the command line share: argument types, and the error of wrong use."""

import argparse


class UsageError(Exception):
    """The user asked for something that cannot be done; the message is shown to them as it is."""


def at_least(minimum):
    """A type for argparse: an integer from `minimum` on."""

    def parse(text):
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"must be an integer >= {minimum}, got {text!r}.")
        return int(text)

    return parse
