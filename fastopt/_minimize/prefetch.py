"""Reading ahead: the next batches come on a thread of their own while the objective and the step are computed."""

import collections
import contextvars

from .batches import Batches

END = object()  # what `next` gives where there is nothing more


class ReadAhead:
    """The items of an iterator, up to n of which a thread takes ahead; the same ones, in the same order.

    What the iterator raises is raised where its item would have been. It runs in the context of the thread that made
    this object, so that np.errstate, for example, is the same. Without n, and where the system refuses a thread, items
    are taken when they are asked for.
    """

    def __init__(self, items, n):
        self.items, self.over = items, False
        self.thread, self.ahead = None, collections.deque()
        if n > 0:
            self._start(n)

    def _start(self, n):
        from concurrent.futures import ThreadPoolExecutor

        self.thread, self.context = ThreadPoolExecutor(1, "fastopt-prefetch"), contextvars.copy_context()
        try:
            for _ in range(n):
                self._submit()
        except RuntimeError:  # the thread cannot be started
            self.ahead.clear()

    def _submit(self):
        self.ahead.append(self.thread.submit(self.context.run, self._take))

    def _take(self):
        """The next item; after the last one, or an exception, the iterator is asked no more."""
        if self.over:
            return END
        self.over = True
        item = next(self.items, END)
        self.over = item is END
        return item

    def __iter__(self):
        return self

    def __next__(self):
        if self.ahead:
            item = self.ahead.popleft().result()
            self._submit()
        else:
            item = self._take()
        if item is END:
            raise StopIteration
        return item

    def close(self):
        """End the thread, as soon as the item that it may be reading is there."""
        if self.thread is not None:
            self.thread.shutdown(cancel_futures=True)
            self.ahead.clear()


class PrefetchedBatches(Batches):
    """Batches of arrays that are selected ahead, within the epoch."""

    def __init__(self, n_samples, size, data, rng, prefetch):
        super().__init__(n_samples, size, data, rng)
        self.prefetch, self.ahead = prefetch, None

    def begin_epoch(self):
        self.close()
        super().begin_epoch()

    def arguments(self, k):
        if self.ahead is None:  # at the start of an epoch, or where a resumed run goes on
            self.ahead = ReadAhead(map(super().arguments, range(k, self.per_epoch)), self.prefetch)
        return next(self.ahead)

    def close(self):
        if self.ahead is not None:
            self.ahead.close()
            self.ahead = None
