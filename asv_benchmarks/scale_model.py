"""How long steps of many ranks should take: sums of the costs of their parts, in the model LogGP of messages.

LogGP (Culler et al. 1993, Alexandrov et al. 1995) has four numbers for a network: the latency L of a message, the
overhead o of a processor that sends or receives it, the gap g between two messages, and the gap G for each byte. Here
`latency` is L + 2 o, `gap` the larger of g and 2 o, as a rank that exchanges messages with all others sends and
receives one at a time, and `byte` is G. The rounds of collective calls are those that Thakur et al. (2005) describe.
All times are in seconds; p is the number of ranks, each of which has a link of its own.
"""

import math
from typing import NamedTuple

INDEX_BYTES = 8


class Network(NamedTuple):
    """What messages cost.

    Attributes
    ----------
    latency : float
        Of a short message, from the call of one rank to the return of the other.
    gap : float
        Of each further message that a rank sends, and receives, in one exchange with all others.
    byte : float
        Of each byte that a rank sends while it receives as many, in an exchange with all others.
    gathered_byte : float
        The same where all ranks are sent the same.
    """

    latency: float
    gap: float
    byte: float
    gathered_byte: float


class Costs(NamedTuple):
    """What a rank computes.

    Attributes
    ----------
    step_entry : float
        Of the optimizer's step, of each entry of a dense array.
    add_byte, copy_byte, new_byte : float
        Of each byte of a vector that is added to another, or divided; of each that is copied; and of each in memory
        that the system gives anew, as for a new array.
    row_sent, row_read, row_stepped : float
        Of each row of a table: to be brought into the order of owners or back; to be read at a place that may be
        anywhere; and to be updated, with the search for duplicates.
    reduce_call, sharded_call, lookup_call, table_call : float
        Of calls of `reduce_gradient`, and of the steps and the lookup, on one rank with next to nothing to do.
    """

    step_entry: float
    add_byte: float
    copy_byte: float
    new_byte: float
    row_sent: float
    row_read: float
    row_stepped: float
    reduce_call: float
    sharded_call: float
    lookup_call: float
    table_call: float


# --- collective calls ------------------------------------------------------------------------------------


def agreement(net, p):
    """All ranks get a short message of each: recursive doubling."""
    return math.ceil(math.log2(p)) * net.latency


def exchange(costs, net, p, n_bytes):
    """Each rank sends n_bytes, an equal part of them to each rank and itself: all messages are under way at once."""
    sent = n_bytes * (p - 1) / p * net.byte + n_bytes / p * costs.copy_byte
    return sent + (net.latency if p > 1 else 0.0) + max(p - 2, 0) * net.gap


def gather(costs, net, p, n_bytes):
    """Each rank gets n_bytes, an equal part of them from each rank: a ring, in which they are passed on."""
    return (p - 1) * net.latency + n_bytes * (p - 1) / p * net.gathered_byte + n_bytes / p * costs.copy_byte


def allreduce(costs, net, p, n_bytes):
    """What MPI would do with a long vector: Rabenseifner's algorithm, halves to sum and then to gather."""
    rounds = 2 * math.ceil(math.log2(p)) * net.latency
    return rounds + n_bytes * (p - 1) / p * (net.byte + net.gathered_byte + costs.add_byte)


# --- dense parameters ------------------------------------------------------------------------------------

REDUCE_AGREEMENTS = 4  # whether one has failed, what the gradients are, twice, and how many each has
SHARDED_AGREEMENTS = 3  # whether one has failed, before and after, and which gradients there are


def reduction(costs, net, p, n_bytes):
    """Each rank is sent its part of p vectors, adds them, divides the sum, and sends the mean to all."""
    added = n_bytes * costs.add_byte if p > 1 else 0.0
    return exchange(costs, net, p, n_bytes) + added + gather(costs, net, p, n_bytes)


def data_parallel_step(costs, net, p, n, width=4):
    """`reduce_gradient` and a step of the same optimizer on each rank; n parameters of `width` bytes."""
    computed = costs.reduce_call + 2 * n * width * costs.new_byte + n * costs.step_entry
    return computed + reduction(costs, net, p, n * width) + REDUCE_AGREEMENTS * agreement(net, p)


def sharded_step(costs, net, p, n, width=4):
    """A step of `ShardedOptimizer`: the same messages, and each rank makes the step of its part."""
    computed = costs.sharded_call + n / p * (costs.step_entry + width * costs.copy_byte)
    return computed + reduction(costs, net, p, n * width) + SHARDED_AGREEMENTS * agreement(net, p)


def data_parallel_bytes(n, state, width=4):
    """Memory of a rank: parameters, gradient, `state` numbers for each parameter, and two vectors of the sum."""
    return n * width * (4 + state)


def sharded_bytes(p, n, state, width=4):
    """Memory of a rank: parameters, gradient, what is received, and its part of the state."""
    return n * width * (3 + state / p)


def least_gradient_seconds(step, efficiency=0.8):
    """How long a rank has to compute a gradient so that it does so in this share of the time."""
    return step * efficiency / (1 - efficiency)


# --- tables ----------------------------------------------------------------------------------------------

LOOKUP_AGREEMENTS = 3  # whether one has failed, before, between and after
TABLE_AGREEMENTS = 3


def rows_sent(costs, net, p, k, width, entry):
    """Each rank tells how many rows it asks of each, which they are, and they or their gradients are sent."""
    sizes = p * INDEX_BYTES, k * INDEX_BYTES, k * width * entry
    return sum([exchange(costs, net, p, size) for size in sizes])


def lookup(costs, net, p, k, width, entry=4):
    """Each rank looks k rows up, which lie on all ranks alike."""
    computed = costs.lookup_call + k * (costs.row_sent + costs.row_read)
    return computed + rows_sent(costs, net, p, k, width, entry) + LOOKUP_AGREEMENTS * agreement(net, p)


def table_step(costs, net, p, k, width, entry=4):
    """Each rank has gradients of k rows, which lie on all ranks alike."""
    computed = costs.table_call + k * (costs.row_sent + costs.row_stepped)
    return computed + rows_sent(costs, net, p, k, width, entry) + TABLE_AGREEMENTS * agreement(net, p)


def copied_table_step(costs, net, p, k, width, entry=4):
    """The same where each rank has the whole table: all rows are sent to all, and each rank updates all of them."""
    sent = gather(costs, net, p, p * k * INDEX_BYTES) + gather(costs, net, p, p * k * width * entry)
    computed = costs.reduce_call + p * k * (costs.row_stepped + width * entry * costs.new_byte)
    return computed + sent + REDUCE_AGREEMENTS * agreement(net, p)


def table_bytes(p, n_rows, width, state_of_row, entry=4):
    """Memory of the fullest rank for its rows, with `state_of_row` numbers of state for each."""
    return math.ceil(n_rows / p) * (width + state_of_row) * entry


def least_ranks(n_rows, width, state_of_row, memory, entry=4):
    """How many ranks with so many bytes of memory hold a table."""
    return math.ceil(n_rows / (memory // ((width + state_of_row) * entry)))


# --- more ranks than processors ----------------------------------------------------------------------------


def crowded(costs, net, factor):
    """Costs and network where `factor` ranks share each processor, and each link."""
    costs = Costs(*(each * factor for each in costs))
    return costs, net._replace(byte=net.byte * factor, gathered_byte=net.gathered_byte * factor)
