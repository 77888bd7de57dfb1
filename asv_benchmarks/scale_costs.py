"""What scale_model.py is given: costs that were measured here, and networks. And times that page and chart show."""

import scale_model as model

# What is measured: parameters, bytes of each, and a table, with the rows of a step on each rank.
N, FEW, FLOAT = 10_000_000, 10_000, 4
N_ROWS, WIDTH, K = 1_000_000, 64, 4096
# What is planned.
MANY = 8192  # rows of a step, on each rank
P = (2, 8, 64, 1024)
# Gbit/s, latency and gap: of TCP over Ethernet, and of InfiniBand or the like.
NETWORKS = {
    "10 Gbit/s": (10, 20e-6, 2e-6),
    "100 Gbit/s": (100, 2e-6, 0.5e-6),
    "400 Gbit/s": (400, 2e-6, 0.5e-6),
}
SIZES, STATE = (10**6, 10**8, 10**10), 2  # parameters, and numbers of state of Adam
ROWS, STATE_OF_ROW = (10**9, 10**10, 10**11, 10**12), 1  # of RowwiseAdagrad
MEMORY = {"64 GB": 64e9, "256 GB": 256e9, "1 TB": 1e12}  # of a rank, for its rows
# What is measured as a whole -> its time in the model.
WHOLE = {
    "data-parallel": lambda c, net, p: model.data_parallel_step(c, net, p, N),
    "sharded": lambda c, net, p: model.sharded_step(c, net, p, N),
    "few, data-parallel": lambda c, net, p: model.data_parallel_step(c, net, p, FEW),
    "few, sharded": lambda c, net, p: model.sharded_step(c, net, p, FEW),
    "lookup": lambda c, net, p: model.lookup(c, net, p, K, WIDTH),
    "table": lambda c, net, p: model.table_step(c, net, p, K, WIDTH),
}


def costs_of(seconds, alone):
    """What a rank computes, from what was measured on some ranks, and of calls on one."""
    calls = {
        "reduce_call": alone["nothing, data-parallel"],
        "sharded_call": alone["nothing, sharded"],
        "lookup_call": alone["nothing, lookup"],
        "table_call": alone["nothing, table"],
    }
    n_bytes = N * FLOAT
    return model.Costs(
        step_entry=seconds["step"] / N,
        add_byte=seconds["add"] / n_bytes,
        copy_byte=seconds["copy"] / n_bytes,
        new_byte=max(seconds["copy to new memory"] - seconds["copy"], 0.0) / n_bytes,
        row_sent=seconds["rows in order"] / K,
        row_read=seconds["rows read"] / K,
        row_stepped=seconds["rows stepped"] / K,
        **calls,
    )


def network_here(kept):
    """The memory of this machine, from runs of two ranks; a call by itself is in the costs of calls."""
    alone, two = kept["seconds"]["1"], kept["seconds"]["2"]
    latency = max(two["agreement"] - alone["agreement"], 0.0)
    copied = two["copy"] / 2  # a rank sends half of it to itself
    sent = [max(two[name] - copied, 0.0) / (N * FLOAT / 2) for name in ("exchange", "gather")]
    return model.Network(latency, latency, *sent)


def networks():
    """Those of a cluster, by name."""
    return {
        name: model.Network(latency, gap, 8e-9 / gbit, 8e-9 / gbit) for name, (gbit, latency, gap) in NETWORKS.items()
    }


def predicted(kept, p):
    """What the model says of each whole step, here."""
    seconds, net = kept["seconds"], network_here(kept)
    costs = costs_of(seconds[str(min(p, 2))], seconds["1"])
    if p > 2:
        costs, net = model.crowded(costs, net, p / 2)
    return {name: of(costs, net, p) for name, of in WHOLE.items()}


def table_seconds(costs, net, p):
    return model.lookup(costs, net, p, MANY, WIDTH) + model.table_step(costs, net, p, MANY, WIDTH)


def copied_seconds(costs, net, p):
    return MANY * costs.row_read + model.copied_table_step(costs, net, p, MANY, WIDTH)
