"""The model of many ranks, against values computed by hand; and the page that is made of it."""

import math
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)

sys.path.append(str(FOLDER))
import scale_costs  # noqa: E402
import scale_model as model  # noqa: E402
import scale_page  # noqa: E402

# Powers of two, so that sums tell of what they are.
NET = model.Network(latency=1.0, gap=0.25, byte=2.0, gathered_byte=4.0)
FREE = model.Costs(*(0.0 for _ in model.Costs._fields))
CALLS = FREE._replace(reduce_call=1000.0, sharded_call=2000.0, lookup_call=3000.0, table_call=4000.0)


def test_collective_calls():
    assert [model.agreement(NET, p) for p in (1, 2, 3, 4, 5, 1024)] == [0, 1, 2, 2, 3, 10]
    assert model.exchange(FREE, NET, 1, 100) == model.gather(FREE, NET, 1, 100) == 0
    assert model.exchange(FREE, NET, 2, 100) == 1 + 50 * 2
    assert model.exchange(FREE, NET, 4, 100) == 1 + 2 * 0.25 + 75 * 2
    assert model.gather(FREE, NET, 4, 100) == 3 + 75 * 4
    assert model.allreduce(FREE._replace(add_byte=8.0), NET, 4, 100) == 2 * 2 + 75 * (2 + 4 + 8)
    copies = FREE._replace(copy_byte=16.0)  # of what a rank sends to itself
    assert model.exchange(copies, NET, 4, 100) - model.exchange(FREE, NET, 4, 100) == 25 * 16
    assert model.gather(copies, NET, 1, 100) == 1600


def test_dense_steps():
    costs = CALLS._replace(step_entry=0.5, add_byte=8.0, copy_byte=16.0, new_byte=32.0)
    assert model.data_parallel_step(costs, NET, 1, 10) == 1000 + 2 * 40 * 32 + 5 + 2 * 40 * 16
    assert model.sharded_step(costs, NET, 1, 10) == 2000 + 5 + 3 * 40 * 16
    sent = (1 + 20 * 2 + 20 * 16) + 40 * 8 + (1 + 20 * 4 + 20 * 16)
    assert model.data_parallel_step(costs, NET, 2, 10) == 1000 + 4 + sent + 2 * 40 * 32 + 5
    assert model.sharded_step(costs, NET, 2, 10) == 2000 + 3 + sent + 2.5 + 20 * 16
    assert model.data_parallel_bytes(10, 2) == 10 * 4 * 6
    assert model.sharded_bytes(4, 10, 2) == 10 * 4 * 3.5
    assert math.isclose(model.least_gradient_seconds(3.0), 12.0)


def test_tables():
    costs = CALLS._replace(row_sent=0.5, row_read=8.0, row_stepped=16.0)
    assert model.lookup(costs, NET, 1, 10, 3) == 3000 + 10 * 8.5
    sent = (1 + 2 * 8) + (1 + 2 * 40) + (1 + 2 * 60)  # counts, indices, rows
    assert model.lookup(costs, NET, 2, 10, 3) == 3000 + 10 * 8.5 + sent + 3
    assert model.table_step(costs, NET, 2, 10, 3) == 4000 + 10 * 16.5 + sent + 3
    copied = (1 + 4 * 80) + (1 + 4 * 120)  # half of the rows of two ranks
    assert model.copied_table_step(costs, NET, 2, 10, 3) == 1000 + 20 * 16 + copied + 4
    assert model.table_bytes(3, 10, 64, 1) == 4 * 260
    assert [model.least_ranks(10, 64, 1, memory) for memory in (260, 519, 520, 2600)] == [10, 10, 5, 1]


def test_ranks_that_share_processors():
    costs, net = model.crowded(CALLS._replace(row_read=8.0), NET, 2)
    assert (costs.row_read, costs.table_call) == (16, 8000)
    assert net == (1, 0.25, 4, 8)


def test_costs_come_from_what_was_measured():
    kept = scale_page.load()
    one, two = kept["seconds"]["1"], kept["seconds"]["2"]
    assert math.isclose(scale_costs.costs_of(two, one).step_entry * scale_costs.N, two["step"])
    net, costs = scale_costs.network_here(kept), scale_costs.costs_of(two, one)
    exchanged = model.exchange(costs, net, 2, scale_costs.N * scale_costs.FLOAT)
    assert math.isclose(exchanged, two["exchange"], rel_tol=1e-3)


def test_page_is_that_of_its_figures():
    assert scale_page.page(scale_page.load()) == (scale_page.FOLDER / "scale.md").read_text()
