from __future__ import annotations

import scipy.linalg  # noqa: F401  loads its own library of linear algebra
from threadpoolctl import ThreadpoolController, threadpool_info

from ir2search.blas import on_one_thread


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_linear_algebra_is_limited_to_one_thread_inside_the_context() -> None:
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = threads()
        with on_one_thread():
            assert threads() == {1}
        assert threads() == before
