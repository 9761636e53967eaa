"""Work in a worker: what takes too long, too much or dies has no result."""

import linecache
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
    assert notebook.run_apart(work, [0, 1, 2, 3, 4, 5, 6], seconds=2) == [
        0,
        None,
        None,
        None,
        None,
        None,
        6,
    ]


def test_processes_wait_for_work_and_do_not_grow_in_number(notebook):
    notebook.run_apart(work, [7])
    before = psutil.Process().children(recursive=True)
    assert (
        notebook.run_apart(work, [7, 8]) == [7, 8]
        and psutil.Process().children(recursive=True) == before
    )
    assert notebook.run_apart(work, [1], seconds=0.5) == [None]  # that one was killed
    assert len(psutil.Process().children(recursive=True)) == len(before) - 1


def test_a_changed_cell_is_read_by_a_new_process(notebook, monkeypatch):
    """Who edits a rule and runs its cell again gets its new verdicts."""
    assert notebook.judge_answers(["Answer: 7"], ["Answer: 7"]) == ["right"]
    file = notebook.judge_pair.__code__.co_filename
    size, when, lines, name = linecache.cache[file]
    lines = [*lines, '\n\ndef judge_pair(triple):\n    return "wrong"\n']
    monkeypatch.setitem(linecache.cache, file, (size, when, lines, name))
    assert notebook.judge_answers(["Answer: 7"], ["Answer: 7"]) == ["wrong"]


def test_nothing_to_do_and_many_items(notebook):
    assert notebook.run_apart(work, []) == []
    assert notebook.run_apart(work, [7] * 500) == [7] * 500
