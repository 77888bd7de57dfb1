"""What an optimizer with ``sparse="deferred"`` offers: rows are brought up to date before they are read."""

from __future__ import annotations

from typing import Any

from .. import _validation
from .._types import Structure
from ._groups import keys_of


class CatchesUp:
    """The part of `Optimizer` that is about rows which sparse gradients leave out."""

    def catch_up(self, rows: Any = None) -> None:
        """Bring rows up to date with all steps so far, under ``sparse="deferred"``; else they are, and nothing changes.

        Parameters
        ----------
        rows : array_like of int, optional
            Indices along the first axis, of any shape, with or without duplicates. For parameters in a dict or list, a
            dict of them by key or index; those of which there are none stay as they are. By default all rows.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `rows` does not fit; nothing has changed then.
        RuntimeError
            When a step of this optimizer is under way, in another thread.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> table = np.zeros((1000, 2))
        >>> opt = fastopt.SGD(table, learning_rate=0.5, momentum=0.5, sparse="deferred")
        >>> opt.step(fastopt.RowSparse([7], [[1.0, 2.0]]))
        >>> opt.step(fastopt.RowSparse([3], [[1.0, 2.0]]))
        >>> table[7]                           # without what the velocity has added since
        array([-0.5, -1. ])
        >>> opt.catch_up([7])
        >>> table[7]
        array([-0.75, -1.5 ])
        """
        with self._claim("catch_up()"):
            self._check_params()
            if rows is None:
                self._catch_up_all()
            else:
                self._catch_up_rows(self._checked_rows(rows))

    def gather(self, rows: Any) -> Structure:
        """Return copies of some rows of the parameters, after they were brought up to date.

        Parameters
        ----------
        rows : array_like of int
            As for `catch_up`.

        Returns
        -------
        ndarray, or dict of ndarrays
            ``params[rows]``; of parameters in a dict or list, for each key of `rows`.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `rows` does not fit; nothing has changed then.
        RuntimeError
            When a step of this optimizer is under way, in another thread.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> tables = {"users": np.ones((5, 2)), "films": np.ones((9, 2))}
        >>> opt = fastopt.Adam(tables, sparse="deferred")
        >>> vectors = opt.gather({"films": [8, 8, 1]})
        >>> vectors["films"].shape
        (3, 2)
        """
        with self._claim("gather()"):
            self._check_params()
            checked = self._checked_rows(rows)
            self._catch_up_rows(checked)
            copies = [
                None if index is None else param[index] for param, index in zip(self._flat_params, checked, strict=True)
            ]
        if self._keys is None:
            return copies[0]
        return {key: copy for key, copy in zip(keys_of(self._keys), copies, strict=True) if copy is not None}

    def _checked_rows(self, rows):
        """Indices of rows for each parameter, in arrays of our own, or None."""
        return _validation.sparse_gradients.rows_of_arrays(rows, self._flat_params, self._keys)
