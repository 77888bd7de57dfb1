"""Text that several docstrings have in common."""

import re


def insert_common(cls, texts):
    """Replace each line ``<common NAME>`` in the docstring of a class by ``texts[NAME]()``, indented as that line is.

    Texts are written without indentation. How far to indent them only the docstring as it is at run time can tell:
    from Python 3.13 on the compiler strips the indentation of docstrings.
    """
    if not cls.__doc__:  # a subclass inherits it then; with python -OO there is none
        return

    def indented(match):
        return re.sub(r"^(?=.)", match["indent"], texts[match["name"]](), flags=re.MULTILINE)

    cls.__doc__ = re.sub(r"^(?P<indent> *)<common (?P<name>\w+)>$", indented, cls.__doc__, flags=re.MULTILINE)
