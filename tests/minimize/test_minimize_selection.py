"""Samples of arrays that are no NumPy arrays, but on disk or of another library: how they are selected."""

import importlib

import numpy as np
import pytest
from objectives import Recorded, bowl, outcome
from streaming import START, A, B, N, result_of, run

from fastopt import minimize
from fastopt._minimize.selection import in_any_order

SIZES = [1, 6, N - 1, N]


class OnDisk:
    """An array that gives what `selects` allows, and refuses the rest."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __getitem__(self, rows):
        if not self.selects(rows):
            raise TypeError("unsupported selection")
        return self.array[rows]


class Ascending(OnDisk):
    """As a data set of h5py."""

    def selects(self, rows):
        return isinstance(rows, slice) or bool((np.diff(rows) > 0).all())


class Slices(OnDisk):
    """As files of which a part is mapped."""

    def selects(self, rows):
        return isinstance(rows, slice)


class Orthogonal(Slices):
    """As older arrays of zarr: an index array for one axis goes through `oindex`."""

    @property
    def oindex(self):
        return self.array


KINDS = [Ascending, Slices, Orthogonal]


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_on_disk_have_the_bits_of_arrays_in_memory(kind, size, ahead):
    def fun(x, rows, right):  # all samples in one batch are passed as they are in memory
        return bowl(x - np.asarray(rows).sum(axis=0) / 100 - np.mean(right))

    expected = result_of((A, B), fun=fun, batch_size=size)
    for data in ((kind(A), B), (A, kind(B)), (kind(A), kind(B))):
        assert result_of(data, fun=fun, batch_size=size, prefetch=ahead) == expected


def test_consecutive_samples_are_read_together():
    read = []

    class Counted(Slices):
        def __getitem__(self, rows):
            read.append(rows)
            return super().__getitem__(rows)

    samples = in_any_order(Counted(A))
    read.clear()
    assert np.array_equal(samples[np.array([7, 2, 3, 4, 3, 30])], A[[7, 2, 3, 4, 3, 30]])
    assert read == [slice(2, 5), slice(7, 8), slice(30, 31)]


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_what_is_on_disk(kind):
    """The items of an iterable may be views of files, too."""
    expected = result_of(lambda: [(A[:20], B[:20]), (A[20:], B[20:])], batch_size=6)
    assert result_of(lambda: [(kind(A[:20]), B[:20]), (kind(A[20:]), B[20:])], batch_size=6) == expected


@pytest.mark.parametrize("layout", [(47, 3), (5, 2)])
@pytest.mark.parametrize("size", [6, N])
def test_zarr(layout, size, tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(str(tmp_path / "A.zarr"), data=A, chunks=layout)
    assert result_of((array, B), batch_size=size) == result_of((A, B), batch_size=size)
    assert result_of(lambda: [(array, B)], batch_size=6) == result_of(lambda: [(A, B)], batch_size=6)


# --- other libraries -------------------------------------------------------------------------------------


class Shared:
    """An array of another library, which hands out its memory."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __dlpack__(self, **request):
        return self.array.__dlpack__(**request)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Converted(Shared):
    """One with a dtype that its hand-over does not know."""

    def __dlpack__(self, **request):
        raise BufferError("no such dtype")

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("kind", [Shared, Converted])
@pytest.mark.parametrize("size", [6, N])
def test_arrays_of_other_libraries_become_numpy_arrays(kind, size):
    assert result_of((kind(A), kind(B)), batch_size=size) == result_of((A, B), batch_size=size)
    assert result_of(lambda: [(kind(A), kind(B))], batch_size=size) == result_of(lambda: [(A, B)], batch_size=size)


@pytest.mark.parametrize("data", [lambda shared: shared, lambda shared: lambda: [shared]])
def test_memory_is_shared(data):
    fun = Recorded(bowl)
    fun.calls = seen = []
    array = np.arange(30.0).reshape(10, 3)
    minimize(
        lambda x, rows: seen.append(rows) or bowl(x), START, method="adam", jac=True, data=data(Shared(array)),
        batch_size=10, options={"maxiter": 1},
    )  # fmt: skip
    assert np.shares_memory(seen[0], array)


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    tensors = torch.from_numpy(A), torch.from_numpy(B)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=10)
    expected = result_of((A, B), batch_size=6)
    assert result_of(tensors, batch_size=6) == expected
    parts = lambda: [(A[first : first + 10], B[first : first + 10]) for first in range(0, N, 10)]  # noqa: E731
    assert result_of(loader) == result_of(parts)
    assert result_of(loader, batch_size=4, prefetch=1) == result_of(parts, batch_size=4)
    with pytest.raises(TypeError, match=r"^`data\[0\]` .* got Tensor; pass data\[0\]\.detach\(\)\.numpy\(\)\.$"):
        run((tensors[0].requires_grad_(), B))
    half = torch.from_numpy(A).bfloat16()
    with pytest.raises(TypeError, match=r"pass data\[0\]\.detach\(\)\.float\(\)\.numpy\(\)\.$"):
        run((half, B))
    assert run((half.detach().float().numpy(), B)).nepoch == 3


def test_arrays_of_jax():
    jnp = pytest.importorskip("jax.numpy")
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    expected = result_of((A, B), batch_size=6)
    assert result_of((jnp.asarray(A), jnp.asarray(B)), batch_size=6) == expected
    res = run(lambda: [(jnp.asarray(A), jnp.asarray(B))])
    assert outcome(res) == result_of(lambda: [(A, B)])
