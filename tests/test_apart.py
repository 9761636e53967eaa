"""Work in a process of its own: what takes too long, too much or dies has no result, and the rest goes on."""

import os
import time

import psutil


def work(item: int) -> int:
    """The item, except for those that misbehave."""
    if item == 1:
        time.sleep(60)
    if item == 2:
        return len([0] * 10**9)  # 8 GB
    if item == 3:
        os._exit(1)
    if item == 4:
        return 10**10**10
    if item == 5:
        raise ValueError("no result")
    return item


def test_what_misbehaves_has_no_result_and_the_rest_goes_on(notebook):
    assert notebook.run_apart(work, [0, 1, 2, 3, 4, 5, 6], seconds=2) == [0, None, None, None, None, None, 6]


def test_no_process_is_left_behind(notebook):
    before = len(psutil.Process().children(recursive=True))
    assert notebook.run_apart(work, [1], seconds=0.5) == [None]
    assert len(psutil.Process().children(recursive=True)) == before


def test_nothing_to_do_and_many_items(notebook):
    assert notebook.run_apart(work, []) == []
    assert notebook.run_apart(work, [7] * 500) == [7] * 500
