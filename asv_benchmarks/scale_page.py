"""docs/performance/scale.md and scale.png from the figures in scale.json."""

import json
import math
import os
from pathlib import Path

import scale_chart
import scale_model as model
from peers_page import paragraph, processor, table, time
from scale_costs import (
    FEW,
    FLOAT,
    MANY,
    MEMORY,
    NETWORKS,
    ROWS,
    SIZES,
    STATE,
    STATE_OF_ROW,
    WHOLE,
    WIDTH,
    K,
    N,
    P,
    copied_seconds,
    costs_of,
    networks,
    predicted,
    table_seconds,
)  # fmt: skip

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "performance"
TITLES = {
    "data-parallel": f"`reduce_gradient` and Adam, {N:,} parameters",
    "sharded": f"`ShardedOptimizer` of Adam, {N:,} parameters",
    "few, data-parallel": f"`reduce_gradient` and Adam, {FEW:,} parameters",
    "few, sharded": f"`ShardedOptimizer` of Adam, {FEW:,} parameters",
    "lookup": f"`ShardedTable.lookup`, {K:,} rows on each rank",
    "table": f"`ShardedTable.step`, {K:,} rows on each rank",
}
INTRODUCTION = """# From two processes to a thousand

What steps of [several processes](../distributed.md) should take on a cluster: costs that were measured on one machine,
put into a model of messages, which is compared with runs here first. Nothing on this page but the first two tables was
measured; it is for planning. `python asv_benchmarks/scale_report.py` writes it; the model is
`asv_benchmarks/scale_model.py`.

{machine}

![Time of a step against the number of ranks, dense and of tables; memory of a rank](scale.png)

## What things cost here

The fastest of 15 rounds, of the slowest rank, one thread each, float32. All ranks compute at once and share the memory;
*exchange* is `Alltoallv` and *gather* `Allgatherv`, of which fastopt is made. MPI's own reductions are for comparison.
Of 4 ranks two share a core.
"""
MODEL = """
## The model

LogGP (Culler et al., *LogP: Towards a Realistic Model of Parallel Computation*, 1993; Alexandrov et al., *LogGP:
Incorporating Long Messages into the LogP Model*, 1995): a message takes L + 2 o + G bytes, where L is the latency of
the network, o what the processor does to send or receive, and G the time of a byte. The rounds of collective calls
are those of Thakur, Rabenseifner & Gropp, *Optimization of Collective Communication Operations in MPICH* (2005), for p
ranks that have links of their own:

- short messages that all get of all (agreements): log2(p) rounds of one message each;
- an exchange of n bytes: all messages at once, L + 2 o + (p - 2) g + G n (p - 1) / p;
- a gather of n bytes: a ring of p - 1 messages, (p - 1) (L + 2 o) + G n (p - 1) / p;
- a step of `reduce_gradient` is four agreements, an exchange, the sum of one part of p vectors, a gather, and the
  optimizer's step; of `ShardedOptimizer` three agreements, the same messages and sum, and a step of n / p entries;
- `lookup` and `step` of a table are three agreements, exchanges of p counts, k indices and k rows, and what is
  measured for each row.

Messages do not overlap with computing: fastopt's calls do not. Neither does the model know of congestion, of ranks that
wait for slower ones, or of rows that all ranks want at once.

## The model and runs here

Of 1 and 2 ranks the model has the costs that were measured on as many; of 4 those of 2, twice, as two ranks share a
core. In brackets the time measured divided by that of the model.
"""
DENSE = """What a step takes besides computing the gradient, by data-parallel Adam (`reduce_gradient`); by
`ShardedOptimizer`.
Computing is as on one rank here, with one thread. Of the networks, {names}, latencies of {latencies}
and gaps of {gaps} are assumed, in this order.
"""
DENSE_TAIL = """{faster} What it saves most is memory; both send the same. Data-parallel steps are for optimizers whose
steps depend on whole arrays, which `ShardedOptimizer` refuses, and for sparse gradients.
"""
EFFICIENCY = """
So that ranks compute gradients in 80 % of their time, the gradient of one rank's samples has to take at least four
times as long as the rest. With `ShardedOptimizer`:
"""
ORDER = """
Sums in the order of ranks have the same bits on all ranks and send as much as MPI's reduction of long vectors
(Rabenseifner's), but in p - 1 messages of a ring, not 2 log2(p) rounds. On many ranks this is what small models pay for
it, beside the call itself. The sum alone of {p:,} ranks, by fastopt; by MPI:
"""
MEMORY_HEAD = """
Memory of each rank for Adam: parameters, gradient, state, and what is received:
"""
TABLES = """
## Tables of {rows} rows

Of {width} columns, float32, with RowwiseAdagrad: {bytes} bytes for a row and its state. Memory of a rank, and how many
ranks there must be at least where each has so much for its rows; with fewer the table does not fit:
"""
TABLE_TIMES = """
Time of a lookup and a step of {k:,} rows on each rank, which lie on all ranks alike. It does not depend on how many
rows the table has. In brackets how many times as many rows a second all ranks read and update as one rank with an
ordinary optimizer and a table that fits:
"""
COPIED = """
A table that fits on every rank may be copied instead: each rank reads its own, and `reduce_gradient` brings the rows of
all ranks to all, which each of them updates. With {net}:
"""


def n_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def load():
    path = FOLDER / "scale.json"
    return json.loads(path.read_text()) if path.exists() else {"machine": {}, "seconds": {}}


def keep(kept):
    (FOLDER / "scale.json").write_text(json.dumps(kept, indent=1) + "\n")


# Tables of what was measured


def costs_table(kept):
    rows = [
        ["short message to and from all", *each_run(kept, lambda it: time(it["agreement"]))],
        *[[what, *per_byte(kept, name)] for name, what in (
            ("exchange", "exchange, a byte"), ("gather", "gather, a byte"),
            ("allreduce", "`Allreduce`, a byte"), ("reduce and scatter", "`Reduce_scatter`, a byte"),
            ("add", "sum of two vectors, a byte of one"), ("copy", "copy, a byte"),
            ("copy to new memory", "copy to new memory, a byte"),
        )],
        ["step of Adam, a byte of its parameters", *per_byte(kept, "step")],
        *[[what, *each_run(kept, lambda it, name=name: time(it[name] / K))] for name, what in (
            ("rows in order", "row of a table, brought into order"), ("rows read", "row, read"),
            ("rows stepped", "row, updated"),
        )],
        ["call of `reduce_gradient` and a step, 8 parameters",
         *each_run(kept, lambda it: time(it["nothing, data-parallel"]))],
        ["step of `ShardedOptimizer`, 8 parameters", *each_run(kept, lambda it: time(it["nothing, sharded"]))],
    ]  # fmt: skip
    return table(["", *(heading(p) for p in kept["seconds"])], rows)


def each_run(kept, show):
    return [show(it) for it in kept["seconds"].values()]


def per_byte(kept, name):
    return each_run(kept, lambda it: f"{it[name] / (N * FLOAT) * 1e9:.3f} ns")


def heading(p):
    return "1 rank" if p == "1" else f"{p} ranks"


# The model beside runs


def check_table(kept):
    rows = []
    for name, title in TITLES.items():
        row = [title]
        for p, it in kept["seconds"].items():
            said = predicted(kept, int(p))[name]
            row += [time(said), f"{time(it[name])} ({it[name] / said:.2f})"]
        rows.append(row)
    head = [each for p in kept["seconds"] for each in (f"{heading(p)}, model", "measured")]
    return table(["", *head], rows)


def check_words(kept):
    """How far the model was from runs."""
    ratios = {p: [it[name] / predicted(kept, int(p))[name] for name in WHOLE] for p, it in kept["seconds"].items()}
    few, crowded = [*ratios["1"], *ratios["2"]], ratios["4"]
    return "\n" + paragraph(
        f"Runs of 1 and 2 ranks took {min(few):.2f} to {max(few):.2f} times as long as the model says, those of 4 "
        f"{min(crowded):.2f} to {max(crowded):.2f} times. Small steps take longer than the sum of their parts, as "
        "ranks come to each message at other times, and wait. Where ranks share cores, those that wait take the core "
        "from those that compute, which the model does not know: ranks of a cluster should not."
    ) + "\n"  # fmt: skip


# Plans


def p_heads():
    return [f"{p:,} ranks" for p in P]


def dense_table(costs):
    rows = [
        [f"10^{round(math.log10(n))}, {name}", *(
            f"{time(model.data_parallel_step(costs, net, p, n))}; {time(model.sharded_step(costs, net, p, n))}"
            for p in P)]
        for n in SIZES for name, net in networks().items()
    ]  # fmt: skip
    return table(["parameters", *p_heads()], rows)


def faster(costs):
    """How the two compare in the table."""
    shares = [
        model.sharded_step(costs, net, p, n) / model.data_parallel_step(costs, net, p, n)
        for n in SIZES
        for net in networks().values()
        for p in P
    ]
    return f"The sharded step takes {min(shares):.0%} to {max(shares):.0%} of the time of the other in this table."


def gradient_table(costs):
    rows = [
        [f"10^{round(math.log10(n))}, {name}", *(
            time(model.least_gradient_seconds(model.sharded_step(costs, net, p, n))) for p in P)]
        for n in SIZES for name, net in networks().items()
    ]  # fmt: skip
    return table(["parameters", *p_heads()], rows)


def order_table(costs):
    p, sizes = P[-1], (10**4, 10**6, 10**8)
    rows = [
        [name, *(
            f"{time(model.reduction(costs, net, p, n * FLOAT))}; {time(model.allreduce(costs, net, p, n * FLOAT))}"
            for n in sizes)]
        for name, net in networks().items()
    ]  # fmt: skip
    return table(["", *(f"10^{round(math.log10(n))} parameters" for n in sizes)], rows)


def size(n_bytes):
    scale, unit = next(each for each in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1.0, "B")) if n_bytes >= each[0])
    return f"{n_bytes / scale:.3g} {unit}" if n_bytes < 999 * scale else f"{n_bytes / scale:,.0f} {unit}"


def memory_table():
    rows = [
        [f"10^{round(math.log10(n))} parameters", size(model.data_parallel_bytes(n, STATE)),
         *(size(model.sharded_bytes(p, n, STATE)) for p in P)]
        for n in SIZES
    ]  # fmt: skip
    return table(["", "data-parallel", *(f"sharded, {each}" for each in p_heads())], rows)


def fit_table():
    rows = [
        [f"10^{round(math.log10(n))} rows", size(model.table_bytes(1, n, WIDTH, STATE_OF_ROW)),
         *(size(model.table_bytes(p, n, WIDTH, STATE_OF_ROW)) for p in P[1:]),
         *(f"{model.least_ranks(n, WIDTH, STATE_OF_ROW, memory):,}" for memory in MEMORY.values())]
        for n in ROWS
    ]  # fmt: skip
    return table(["", "in all", *p_heads()[1:], *(f"least ranks of {each}" for each in MEMORY)], rows)


def times_table(costs):
    rows = []
    for name, net in networks().items():
        one = MANY * (costs.row_read + costs.row_stepped)
        seconds = {p: table_seconds(costs, net, p) for p in P}
        rows.append([name, *(f"{time(each)} ({p * one / each:.3g})" for p, each in seconds.items())])
    return table(["", *p_heads()], rows)


def copied_table(costs, net):
    rows = [
        ["a copy on each rank", *(time(copied_seconds(costs, net, p)) for p in P)],
        ["`ShardedTable`", *(time(table_seconds(costs, net, p)) for p in P)],
    ]
    return table(["", *p_heads()], rows)


def machine_words(it):
    versions = ", ".join(f"{name} {version}" for name, version in it["versions"].items())
    return paragraph(f"{it['processor']}; {it['mpi']}, {versions}.")


def said(text, **figures):
    return paragraph(text.format(**figures)) + "\n"


def page(kept):
    costs, nets = costs_of(kept["seconds"]["1"], kept["seconds"]["1"]), networks()
    assumed = {
        what: ", ".join(f"{each[k] * 1e6:g} us" for each in NETWORKS.values())
        for what, k in (("latencies", 1), ("gaps", 2))
    }
    last = "100 Gbit/s"
    return "".join([
        INTRODUCTION.format(machine=machine_words(kept["machine"])), costs_table(kept),
        MODEL, check_table(kept), check_words(kept),
        "\n## Dense parameters\n\n", said(DENSE, names=", ".join(nets), **assumed), dense_table(costs),
        "\n", said(DENSE_TAIL, faster=faster(costs)), EFFICIENCY, gradient_table(costs),
        ORDER.format(p=P[-1]), order_table(costs), MEMORY_HEAD, memory_table(),
        TABLES.format(rows="10^9 to 10^12", width=WIDTH, bytes=model.table_bytes(1, 1, WIDTH, STATE_OF_ROW)),
        fit_table(), TABLE_TIMES.format(k=MANY), times_table(costs),
        COPIED.format(net=last), copied_table(costs, nets[last]),
    ])  # fmt: skip


def write(kept):
    (FOLDER / "scale.md").write_text(page(kept))
    scale_chart.chart(kept, FOLDER / "scale.png")


__all__ = ["keep", "load", "n_cores", "processor", "write"]
