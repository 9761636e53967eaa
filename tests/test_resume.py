"""Nothing lost: experiments go on after a kill, and broken folders are not used."""

import dis
import functools
import inspect
import linecache
import os
import pathlib
import re
import signal
import sys

import pandas as pd
import pytest
import test_training
import torch

lab = test_training.lab
SHORT = (
    test_training.SHORT
)  # 14 steps in two epochs, a checkpoint after 4, 8, 12 and 14


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A forked child must do with one thread, on which sums in float32 depend."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mark(lab, **changes) -> str:
    """The fingerprint of a short run."""
    line = SHORT | {"experiment_name": "a"} | changes
    setup = test_training.setup_of(lab)
    return lab.experiment_fingerprint(setup, lab.Experiment(**line))


def run_and_die(
    lab, name: str, owner, function: str, call: int, half_written=None, **settings
) -> None:
    """Train in a child that kills itself at the n-th call, after half a file."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (
            "the child was to be killed"
        )
        return
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        original, calls = getattr(owner, function), 0

        @functools.wraps(
            original
        )  # its code shapes the experiment's name: it is the original's
        def fatal(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == call:
                if half_written:
                    half_written(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, function, fatal)
        test_training.run(lab, name, **SHORT | settings)
    finally:
        os._exit(1)


def half_of_a_file(_, path, *__) -> None:
    """What torch.save leaves behind when it is interrupted."""
    with open(path, "wb") as file:
        file.write(b"PK\x03\x04" * 100)


DURATIONS = ["training_minutes", "experiment", "adapter"]


def numbers(lab, name: str, row: dict) -> tuple[dict, pd.DataFrame]:
    """A row and its curves without what may differ between two runs."""
    curves = test_training.history(lab, name)[
        ["step", "loss", "grad_norm", "learning_rate", "eval_loss"]
    ]
    return {
        key: value for key, value in row.items() if key not in DURATIONS
    }, curves.dropna(how="all", subset="loss")


@pytest.fixture(scope="module")
def undisturbed(lab):
    row = test_training.run(lab, "undisturbed", **SHORT)
    return row, numbers(lab, "undisturbed", row)


# What is going on when the kernel is killed: owner and name of a function, which call,
# half a file, where it goes on.
FATAL = {
    "training, before the first checkpoint": (
        "ResponseTrainer",
        "compute_loss",
        2,
        None,
        None,
    ),
    "training, in the first epoch": ("ResponseTrainer", "compute_loss", 7, None, 4),
    "training, in the second epoch": ("ResponseTrainer", "compute_loss", 12, None, 8),
    "a validation": ("ResponseTrainer", "evaluate", 3, None, 8),
    "a checkpoint's write": ("torch", "save", 8, half_of_a_file, 4),
    "the manifest of a checkpoint": ("os", "replace", 2, None, 4),
    "the saving of the adapter": ("tokenizer", "save_pretrained", 5, None, 14),
    "the removal of the checkpoints": ("shutil", "rmtree", 2, None, None),
}


@pytest.mark.parametrize("moment", FATAL)
def test_a_kill_costs_only_the_steps_since_the_last_checkpoint(
    lab, undisturbed, moment, capsys
):
    owner, function, call, half_written, goes_on_from = FATAL[moment]
    owner = {
        "torch": torch,
        "os": os,
        "shutil": lab.shutil,
        "tokenizer": type(lab.tokenizer),
    }.get(owner, getattr(lab, owner, None))
    name = re.sub(r"\W+", "_", moment)
    run_and_die(lab, name, owner, function, call, half_written)
    row = test_training.run(lab, name, **SHORT)
    shown = capsys.readouterr().out
    assert (f"Training goes on from step {goes_on_from}." in shown) == (
        goes_on_from is not None
    ), shown
    expected_row, expected_curves = undisturbed[1]
    after_row, after_curves = numbers(lab, name, row)
    assert after_row == expected_row
    pd.testing.assert_frame_equal(
        after_curves.reset_index(drop=True), expected_curves.reset_index(drop=True)
    )
    assert not list((lab.RESULTS / "checkpoints").glob(f"{name}-*"))


def checkpoints(lab, name: str) -> pathlib.Path:
    """The folder that the checkpoints of a short run under a name lie in."""
    return lab.RESULTS / "checkpoints" / f"{name}-{mark(lab)}"


@pytest.fixture(scope="module")
def killed(lab):
    """The checkpoints of a run that was killed after step 13."""
    run_and_die(lab, "killed", lab.ResponseTrainer, "compute_loss", 14)
    return checkpoints(lab, "killed")


def truncate(file) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def remove(file) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (truncate, "optimizer.pt"),
        (truncate, "adapter_model.safetensors"),
        (remove, "rng_state.pth"),
        (truncate, "finished.json"),
        (remove, "finished.json"),
    ],
)
def test_a_broken_checkpoint_is_refused_and_the_one_before_is_used(
    lab, undisturbed, killed, damage, name, capsys
):
    run = f"{damage.__name__}_{name}"
    folder = checkpoints(lab, run)
    lab.shutil.copytree(killed, folder)
    damage(folder / "checkpoint-12" / name)
    row = test_training.run(lab, run, **SHORT)
    shown = capsys.readouterr().out
    assert f"{folder.name}/checkpoint-12 is damaged and is not used." in shown
    assert "Training goes on from step 8." in shown
    assert numbers(lab, run, row)[0] == undisturbed[1][0]


def test_where_no_checkpoint_is_whole_training_starts_anew(
    lab, undisturbed, killed, capsys
):
    folder = checkpoints(lab, "all_broken")
    lab.shutil.copytree(killed, folder)
    for checkpoint in folder.iterdir():
        truncate(checkpoint / "scheduler.pt")
    row = test_training.run(lab, "all_broken", **SHORT)
    shown = capsys.readouterr().out
    assert "is damaged and is not used" in shown and "goes on" not in shown
    assert numbers(lab, "all_broken", row)[0] == undisturbed[1][0]


def test_a_finished_experiment_is_not_trained_again(
    lab, undisturbed, monkeypatch, capsys
):
    monkeypatch.setattr(lab, "MAX_NEW_TOKENS", 16)
    monkeypatch.setattr(lab, "EVAL_SAMPLES", 3)
    monkeypatch.setattr(lab, "train_experiment", None)
    again = test_training.run(lab, "undisturbed", **SHORT, notes="other words")
    assert again == undisturbed[0] | {"notes": "other words"}
    assert "Finished before" in capsys.readouterr().out


def test_what_shapes_an_experiment_changes_its_fingerprint(lab, monkeypatch):
    marks = [
        mark(lab),
        mark(lab, learning_rate=0.02),
    ]
    for name, value in (
        ("SEED", 7),
        ("LORA_DROPOUT", 0.2),
        ("EVAL_STEPS", 5),
        ("LORA_ALPHA_RATIO", 1.0),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(lab, name, value)
            marks.append(mark(lab))
    with monkeypatch.context() as changed:
        changed.setattr(lab, "train_dataset", lab.train_dataset.select(range(40)))
        marks.append(mark(lab))
    with monkeypatch.context() as changed:
        changed.setattr(lab.peft, "__version__", "0.0")
        marks.append(mark(lab))
    weight = lab.base_model.model.norm.weight
    before = weight[0].item()
    weight.data[0] += 1  # another revision of the model
    marks.append(mark(lab))
    weight.data[0] = before
    assert len(set(marks)) == len(marks)
    assert mark(lab) == marks[0]


def test_a_damaged_adapter_is_trained_again(lab, undisturbed, capsys):
    fingerprint = mark(lab)
    folder = lab.RESULTS / "adapters" / f"retrained-{fingerprint}"
    lab.shutil.copytree(test_training.adapter_folder(lab, "undisturbed"), folder)
    truncate(folder / "adapter_model.safetensors")
    row = test_training.run(lab, "retrained", **SHORT)
    assert (
        f"adapters/{folder.name} is damaged and is not used." in capsys.readouterr().out
    )
    assert row["training_minutes"] != undisturbed[0]["training_minutes"]
    assert test_training.run(lab, "undisturbed", **SHORT) == undisturbed[0], (
        "what did not change is not trained again"
    )


def test_trying_other_settings_keeps_what_was_trained(lab, monkeypatch, capsys):
    first = test_training.run(lab, "tried", **SHORT)
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.3)
    second = test_training.run(lab, "tried", **SHORT)
    assert first["adapter"] != second["adapter"]
    monkeypatch.undo()
    capsys.readouterr()
    assert test_training.run(lab, "tried", **SHORT) == first
    assert "Finished before" in capsys.readouterr().out
    assert (lab.RESULTS / second["adapter"]).exists()


def decides(*functions) -> set[str]:
    """The files of all functions of the notebook that these use, directly or not."""
    seen, waiting = set(), list(functions)
    while waiting:
        function = inspect.unwrap(waiting.pop())
        if isinstance(function, type):
            waiting += [part for part in vars(function).values() if callable(part)]
            continue
        code = getattr(function, "__code__", None)
        if code in seen or code is None or not code.co_filename.startswith("lab-"):
            continue
        seen.add(code)
        names, codes = set(), [code]
        while codes:
            part = codes.pop()
            codes += filter(inspect.iscode, part.co_consts)
            names |= {
                step.argval
                for step in dis.get_instructions(part)
                if step.opname == "LOAD_GLOBAL"
            }
        used = [function.__globals__.get(name) for name in names]
        waiting += [part for part in used if callable(part) and is_ours(part)]
    return {code.co_filename for code in seen}


def is_ours(part) -> bool:
    return getattr(part, "__module__", None) == "lab"


# Whether a training runs and what it prints; not what it learns
SAFETY = {"resume-2", "resume-3", "settings-13", "settings-15"}


def edit_cell(lab, monkeypatch, file: str, old: str, new: str) -> None:
    """The cell as it is after an edit; nothing else of the notebook notices."""
    size, when, lines, name = linecache.cache[file]
    source = "".join(lines)
    assert old in source
    lines = source.replace(old, new).splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, file, (size, when, lines, name))


def test_all_cells_that_decide_on_a_training_are_in_its_fingerprint(lab, monkeypatch):
    before = mark(lab)
    files = decides(lab.train_adapter) - {f"lab-{cell}" for cell in SAFETY}
    assert len(files) >= 6
    for file in files:
        with monkeypatch.context() as edited:
            edit_cell(lab, edited, file, '"""', '"""Edited. ')
            assert mark(lab) != before, file
    for cell in ("sure-2", "right-6", "results-2"):
        with monkeypatch.context() as edited:
            edit_cell(lab, edited, f"lab-{cell}", '"""', '"""Edited. ')
            assert mark(lab) == before, cell


def test_all_cells_that_decide_on_an_answer_are_a_part_of_its_key(lab, monkeypatch):
    before = lab.answering_code()
    files = decides(lab.generate_answers)
    assert len(files) >= 9
    for file in files:
        with monkeypatch.context() as edited:
            edit_cell(lab, edited, file, "def ", "def edited_")
            assert lab.answering_code() != before, file
    monkeypatch.setattr(lab, "REFUSAL_START", "No")
    assert lab.answering_code() != before


def test_a_clock_that_runs_backwards_changes_nothing(
    lab, undisturbed, killed, monkeypatch
):
    lab.shutil.copytree(killed, checkpoints(lab, "clock"))
    now = [4e9]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(lab.time, "time", earlier)
    row = test_training.run(lab, "clock", **SHORT)
    assert numbers(lab, "clock", row)[0] == undisturbed[1][0]
    assert 0 < row["training_minutes"] < 30


def test_a_second_notebook_in_the_same_folder_is_refused_until_the_first_has_ended(
    lab, tmp_path
):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        lab.open_results(str(tmp_path))
        os.write(writer, b"held")
        signal.pause()
    assert os.read(reader, 4) == b"held"
    with pytest.raises(
        RuntimeError, match="RESULTS_DIR: another notebook is at work in this folder"
    ):
        lab.open_results(str(tmp_path))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (
        lab.open_results(str(tmp_path)) == lab.open_results(str(tmp_path)) == tmp_path
    ), "and again by the same one"


def test_a_kill_while_answers_are_written_leaves_none_of_them(lab, tmp_path):
    def die() -> list:
        os.kill(os.getpid(), signal.SIGKILL)

    answers = tmp_path / "answers"
    assert lab.cached_answers(answers, ["a"], lambda: ["kept"]) == ["kept"]
    child = os.fork()
    if not child:
        lab.cached_answers(answers, ["b"], die)
    os.waitpid(child, 0)
    assert lab.cached_answers(answers, ["a"], die) == ["kept"]
    assert lab.cached_answers(answers, ["b"], lambda: ["anew"]) == ["anew"]


def test_the_same_seed_gives_the_same_splits_losses_and_answers(
    lab, undisturbed, tmp_path, monkeypatch
):
    pairs, _, _ = lab.keep_pairs(
        lab.open_sources("generated", [], 1), 64, test_training.check(lab)
    )
    assert [part.to_list() for part in lab.split_pairs(pairs, 1)][:2] == [
        lab.train_dataset.to_list(),
        lab.eval_dataset.to_list(),
    ]
    assert [part.to_list() for part in lab.split_pairs(pairs, 2)][
        0
    ] != lab.train_dataset.to_list()
    monkeypatch.setattr(lab, "LOGGING_STEPS", 1)
    seen = []
    for name in ("one", "two"):
        monkeypatch.setattr(lab, "RESULTS", tmp_path / name)
        (tmp_path / name).mkdir()
        test_training.run(lab, "seeded", **SHORT | {"num_epochs": 3})
        tutor = lab.PeftModel.from_pretrained(
            lab.base_model, test_training.adapter_folder(lab, "seeded")
        ).eval()
        asked = [messages[:1] for messages in lab.eval_dataset["messages"]]
        prompts = [lab.render(messages, lab.tokenizer) for messages in asked]
        seen.append(
            (
                test_training.history(lab, "seeded")["loss"].dropna().tolist()[:20],
                lab.generate_answers(tutor, lab.tokenizer, prompts, 12),
            )
        )
        lab.detach_adapter(lab.base_model)
    assert len(seen[0][0]) == 20 and seen[0] == seen[1]
