"""What fastopt is compared with: one file per library, and the problems in problems.py and linear.py.

A file of dense or sparse steps has a dict `STEPS` from the name of a contender to `make(problem, threads)`, which
returns a callable for one step and one for the parameters as a NumPy array, or None if it cannot do the problem, and
in `REQUIRES` the module that it imports then, and only then. All start from the arrays of the problem and do the same
work; peers.py compares what comes out before it times anything. Where a step writes over the gradient, a third
callable puts it back: between the steps that are compared, and not in those that are timed.
"""
