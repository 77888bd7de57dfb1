"""Shared by the tests of minimize: a short run, and callbacks in every form."""

import functools

STEPS = {"maxiter": 5, "learning_rate": 0.1}


def stop_now(x):
    raise StopIteration


class Listener:
    """Callbacks in all forms; each keeps what it was called with."""

    def __init__(self):
        self.heard = []

    def takes_result(self, intermediate_result):
        self.heard.append(intermediate_result)

    def takes_x(self, xk):
        self.heard.append(xk)

    def takes_more(self, intermediate_result, more=None):
        self.heard.append(intermediate_result)

    def __call__(self, intermediate_result):
        self.heard.append(intermediate_result)


def callbacks():
    listener = Listener()
    heard = listener.heard

    def function(intermediate_result):
        heard.append(intermediate_result)

    def keyword_only(*, intermediate_result):
        heard.append(intermediate_result)

    def with_owner(owner, intermediate_result):
        owner.append(intermediate_result)

    return heard, {
        "function": (function, True),
        "keyword only": (keyword_only, True),
        "bound method": (listener.takes_result, True),
        "callable object": (listener, True),
        "partial": (functools.partial(with_owner, heard), True),
        "lambda of a result": (lambda intermediate_result: heard.append(intermediate_result), True),
        "lambda of x": (lambda x: heard.append(x), False),
        "bound method of x": (listener.takes_x, False),
        "second parameter": (listener.takes_more, False),
        "partial with keyword": (functools.partial(listener.takes_more, more=1), False),
        "builtin": (heard.append, False),
    }
