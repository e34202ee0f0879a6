"""numpy's matrix products, kept to the thread that asks for them."""

from __future__ import annotations

from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

__all__ = ["one_thread_per_product"]


@cache
def one_thread_per_product() -> None:
    """Lets a product use its caller's thread only, from now on, in the whole process. Use it before searching.

    The products of a search take under a millisecond. Shared out to other threads they gain little on idle processors
    and lose tenfold on busy ones, where the threads wait for each other; questions are what runs side by side here.
    """
    np.ones((1, 1), np.float32) @ np.ones((1, 1), np.float32)
    threadpool_limits(limits=1, user_api="blas")
