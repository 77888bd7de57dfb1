"""docs/performance/scale.png: dense steps, steps of tables, and memory, against the number of ranks."""

import math

import scale_model as model
from scale_costs import MANY, MEMORY, ROWS, STATE_OF_ROW, WIDTH, copied_seconds, costs_of, networks, table_seconds

RANKS = [2**k for k in range(11)]


def draw_dense(axes, costs):
    """A step of 10^8 parameters."""
    n, ranks = 10**8, RANKS[1:]
    for place, (name, net) in enumerate(networks().items()):
        for of, style, what in (
            (model.data_parallel_step, "--", "data-parallel"),
            (model.sharded_step, "-", "sharded"),
        ):
            axes.loglog(ranks, [of(costs, net, p, n) for p in ranks], style, color=f"C{place}", label=f"{name}, {what}")
    axes.set(
        ylabel="seconds", ylim=(0.01, 2.0), title="A step of Adam on 10^8 float32 parameters, without the gradient"
    )
    axes.legend(fontsize=8, ncols=3, loc="lower center")


def draw_tables(axes, costs):
    """Rows per second of all ranks."""
    for place, (name, net) in enumerate(networks().items()):
        rates = [p * MANY / table_seconds(costs, net, p) for p in RANKS]
        axes.loglog(RANKS, rates, color=f"C{place}", label=f"{name}, ShardedTable")
        rates = [p * MANY / copied_seconds(costs, net, p) for p in RANKS]
        axes.loglog(RANKS, rates, "--", color=f"C{place}", label=f"{name}, a copy on each rank")
    axes.set(ylabel="rows per second", title=f"Tables: lookup and step of {MANY:,} rows x {WIDTH} on each rank")
    axes.legend(fontsize=8)


def draw_memory(axes):
    for place, n in enumerate(ROWS):
        sizes = [model.table_bytes(p, n, WIDTH, STATE_OF_ROW) / 1e9 for p in RANKS]
        axes.loglog(RANKS, sizes, color=f"C{place + 3}", label=f"10^{round(math.log10(n))} rows")
    for name, memory in MEMORY.items():
        axes.axhline(memory / 1e9, color="0.4", lw=1, ls=":")
        axes.text(1.05, memory / 1e9 * 1.1, name, fontsize=8, color="0.3")
    axes.set(ylabel="GB of each rank", xlabel="ranks", title=f"Memory for rows of {WIDTH} float32 with RowwiseAdagrad")
    axes.legend(fontsize=8)


def chart(kept, path):
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    costs = costs_of(kept["seconds"]["1"], kept["seconds"]["1"])
    figure = Figure(figsize=(8, 11), layout="constrained")
    dense, tables, memory = figure.subplots(3, 1, sharex=True)
    draw_dense(dense, costs)
    draw_tables(tables, costs)
    draw_memory(memory)
    for axes in (dense, tables, memory):
        axes.set_xticks(RANKS, [f"{p:,}" for p in RANKS])
        axes.minorticks_off()
        axes.grid(alpha=0.3, lw=0.5)
    figure.savefig(path, dpi=130)
