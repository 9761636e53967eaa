"""Nothing lost: experiments go on after a kill, finished ones are not trained again, broken folders are not used."""

import functools
import json
import os
import pathlib
import re
import signal
import sys
import types

import pandas as pd
import pytest
import test_training
import torch
from conftest import NOTEBOOK

lab = test_training.lab
SHORT = test_training.SHORT  # 14 steps in two epochs, a checkpoint after 4, 8, 12 and 14


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A forked child has lost the threads of OpenMP and must do with one; a sum in float32 depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_and_die(lab, name: str, owner, function: str, call: int, half_written=None, **settings) -> None:
    """Train in a child process that kills itself at the n-th call of a function, after half a file was written."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "the child was to be killed"
        return
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        original, calls = getattr(owner, function), 0

        @functools.wraps(original)  # its code shapes the experiment's name: it is the original's
        def fatal(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == call:
                if half_written:
                    half_written(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, function, fatal)
        lab.run_experiment(name, **SHORT | settings)
    finally:
        os._exit(1)


def half_of_a_file(_, path, *__) -> None:
    """What torch.save leaves behind when it is interrupted."""
    with open(path, "wb") as file:
        file.write(b"PK\x03\x04" * 100)


DURATIONS = ["training_minutes", "tokens_per_second", "experiment", "adapter"]


def numbers(lab, name: str, row: dict) -> tuple[dict, pd.DataFrame]:
    """A row and its curves without what may differ between two runs."""
    curves = test_training.history(lab, name)[["step", "loss", "grad_norm", "learning_rate", "eval_loss"]]
    return {key: value for key, value in row.items() if key not in DURATIONS}, curves.dropna(how="all", subset="loss")


@pytest.fixture(scope="module")
def undisturbed(lab):
    row = lab.run_experiment("undisturbed", **SHORT)
    return row, numbers(lab, "undisturbed", row)


# What is going on when the kernel is killed: owner and name of a function, which call, half a file, where it goes on.
FATAL = {
    "training, before the first checkpoint": ("ResponseTrainer", "compute_loss", 2, None, None),
    "training, in the first epoch": ("ResponseTrainer", "compute_loss", 7, None, 4),
    "training, in the second epoch": ("ResponseTrainer", "compute_loss", 12, None, 8),
    "a validation": ("ResponseTrainer", "evaluate", 3, None, 8),
    "a checkpoint's write": ("torch", "save", 8, half_of_a_file, 4),
    "the sealing of a checkpoint": ("os", "replace", 2, None, 4),
    "the saving of the adapter": ("tokenizer", "save_pretrained", 5, None, 14),
    "the last rename": ("shutil", "rmtree", 3, None, None),
}


@pytest.mark.parametrize("moment", FATAL)
def test_a_kill_costs_only_the_steps_since_the_last_checkpoint(lab, undisturbed, moment, capsys):
    owner, function, call, half_written, goes_on_from = FATAL[moment]
    owner = {"torch": torch, "os": os, "shutil": lab.shutil, "tokenizer": type(lab.tokenizer)}.get(
        owner, getattr(lab, owner, None)
    )
    name = re.sub(r"\W+", "_", moment)
    run_and_die(lab, name, owner, function, call, half_written)
    row = lab.run_experiment(name, **SHORT)
    shown = capsys.readouterr().out
    assert (f"Training goes on from step {goes_on_from}." in shown) == (goes_on_from is not None), shown
    expected_row, expected_curves = undisturbed[1]
    after_row, after_curves = numbers(lab, name, row)
    assert after_row == expected_row
    pd.testing.assert_frame_equal(after_curves.reset_index(drop=True), expected_curves.reset_index(drop=True))
    assert not list((lab.RESULTS / "checkpoints").glob(f"{name}-*"))


def checkpoints(lab, name: str) -> pathlib.Path:
    """The folder that the checkpoints of a short run under a name lie in."""
    return lab.RESULTS / "checkpoints" / f"{name}-{lab.experiment_fingerprint(**SHORT)[:8]}"


@pytest.fixture(scope="module")
def killed(lab):
    """The checkpoints of a run that was killed after step 13."""
    run_and_die(lab, "killed", lab.ResponseTrainer, "compute_loss", 14)
    return checkpoints(lab, "killed")


def truncate(file) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "name", "because"),
    [
        (truncate, "optimizer.pt", "optimizer.pt is damaged"),
        (flip_a_bit, "adapter_model.safetensors", "adapter_model.safetensors is damaged"),
        (lambda file: file.unlink(), "rng_state.pth", "it is not whole (FileNotFoundError)"),
        (truncate, "finished.json", "it is not whole (JSONDecodeError)"),
        (lambda file: file.unlink(), "finished.json", "it is not whole (FileNotFoundError)"),
    ],
    ids=["truncated optimizer", "a flipped bit in the adapter", "a missing file", "half a seal", "no seal"],
)
def test_a_broken_checkpoint_is_refused_and_the_one_before_is_used(
    lab, undisturbed, killed, damage, name, because, capsys
):
    run = f"broken_{because[:4]}_{damage.__name__}_{name}".replace(".", "_").replace("<", "").replace(">", "")
    folder = checkpoints(lab, run)
    lab.shutil.copytree(killed, folder)
    damage(folder / "checkpoint-12" / name)
    row = lab.run_experiment(run, **SHORT)
    shown = capsys.readouterr().out
    assert f"{folder.name}/checkpoint-12 is not used: {because}" in shown and "Training goes on from step 8." in shown
    assert numbers(lab, run, row)[0] == undisturbed[1][0]


def test_where_no_checkpoint_is_whole_training_starts_anew(lab, undisturbed, killed, capsys):
    folder = checkpoints(lab, "all_broken")
    lab.shutil.copytree(killed, folder)
    for checkpoint in folder.iterdir():
        truncate(checkpoint / "scheduler.pt")
    row = lab.run_experiment("all_broken", **SHORT)
    shown = capsys.readouterr().out
    assert shown.count("scheduler.pt is damaged") >= 2 and "goes on" not in shown
    assert numbers(lab, "all_broken", row)[0] == undisturbed[1][0]


def test_a_finished_experiment_is_not_trained_again(lab, undisturbed, monkeypatch, capsys):
    monkeypatch.setattr(lab, "MAX_NEW_TOKENS", 16)
    monkeypatch.setattr(lab, "EVAL_SAMPLES", 3)
    monkeypatch.setattr(lab, "train_experiment", None)
    again = lab.run_experiment("undisturbed", **SHORT, notes="other words")
    assert again == undisturbed[0] | {"notes": "other words"}
    assert "Finished before" in capsys.readouterr().out


def test_what_shapes_an_experiment_changes_its_fingerprint(lab, monkeypatch):
    marks = [lab.experiment_fingerprint(**SHORT), lab.experiment_fingerprint(**SHORT | {"learning_rate": 0.02})]
    for name, value in (("SEED", 7), ("LORA_DROPOUT", 0.2), ("EVAL_STEPS", 5), ("LORA_ALPHA_RATIO", 1.0)):
        with monkeypatch.context() as changed:
            changed.setattr(lab, name, value)
            marks.append(lab.experiment_fingerprint(**SHORT))
    with monkeypatch.context() as changed:
        changed.setattr(lab, "train_dataset", lab.train_dataset.select(range(40)))
        marks.append(lab.experiment_fingerprint(**SHORT))
    with monkeypatch.context() as changed:
        changed.setattr(lab.peft, "__version__", "0.0")
        marks.append(lab.experiment_fingerprint(**SHORT))
    weight = lab.base_model.model.norm.weight
    before = weight[0].item()
    weight.data[0] += 1  # another revision of the model
    marks.append(lab.experiment_fingerprint(**SHORT))
    weight.data[0] = before
    assert len(set(marks)) == len(marks)
    assert lab.experiment_fingerprint(**SHORT) == marks[0]


def test_a_damaged_adapter_is_trained_again(lab, undisturbed, capsys):
    mark = lab.experiment_fingerprint(**SHORT)[:8]
    folder = lab.RESULTS / "adapters" / f"retrained-{mark}"
    lab.shutil.copytree(test_training.adapter_folder(lab, "undisturbed"), folder)
    truncate(folder / "adapter_model.safetensors")
    row = lab.run_experiment("retrained", **SHORT)
    assert f"adapters/{folder.name} is not used: adapter_model.safetensors is damaged." in capsys.readouterr().out
    assert row["training_minutes"] != undisturbed[0]["training_minutes"]
    assert lab.run_experiment("undisturbed", **SHORT) == undisturbed[0], "what did not change is not trained again"


def test_trying_other_settings_keeps_what_was_trained(lab, monkeypatch, capsys):
    first = lab.run_experiment("tried", **SHORT)
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.3)
    second = lab.run_experiment("tried", **SHORT)
    assert first["adapter"] != second["adapter"]
    monkeypatch.undo()
    capsys.readouterr()
    assert lab.run_experiment("tried", **SHORT) == first
    assert "Finished before" in capsys.readouterr().out
    kept = lab.other_adapters([first])
    assert second["adapter"].removeprefix("adapters/") in kept and re.search(r"\d MB", kept)


def changed_code(lab, monkeypatch, name: str, old: str, new: str) -> None:
    """Redefine a function or class of the notebook, as somebody does who edits its cell and runs it."""
    source = next(cell for cell in lab_cells() if f"def {name}(" in cell or f"class {name}(" in cell)
    assert old in source
    changed = dict(vars(lab))
    exec(compile(source.replace(old, new), "changed", "exec"), changed)
    monkeypatch.setattr(
        lab, name, types.FunctionType(changed[name].__code__, vars(lab), name, changed[name].__defaults__)
    )


def lab_cells() -> list[str]:
    return [
        "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "is_new"),
    [
        ("encode", "else -100", "else token", True),  # the question is graded, too
        ("response_nll", "ignore_index=-100", "ignore_index=0", True),
        ("training_arguments", '"cosine"', '"linear"', True),
        ("response_nll", "Negative log-likelihood (nats)", "The surprise", False),  # a docstring
        ("render", "add_generation_prompt=True", "add_generation_prompt=False", False),  # of answers only
    ],
)
def test_changed_code_of_the_training_makes_it_run_anew(lab, monkeypatch, name, old, new, is_new):
    before = lab.experiment_fingerprint(**SHORT)
    changed_code(lab, monkeypatch, name, old, new)
    assert (lab.experiment_fingerprint(**SHORT) != before) is is_new


@pytest.mark.parametrize("changed", ["repeats_itself", "exact_result", "PARSER", "UNCLEAR", "REFUSAL_START"])
def test_changed_code_of_the_answers_makes_them_be_written_anew(lab, monkeypatch, changed):
    before = lab.code_fingerprint(lab.generate_answers)
    if changed == "repeats_itself":
        changed_code(lab, monkeypatch, "repeats_itself", "count >= 3", "count >= 4")
    elif changed == "exact_result":
        changed_code(lab, monkeypatch, "exact_result", '100 if unit == "%"', '10 if unit == "%"')
    elif changed == "PARSER":  # the grammar
        grammar = lab.GRAMMAR.replace('_STAR: "*"', '_STAR: "x"')
        monkeypatch.setattr(lab, "PARSER", lab.lark.Lark(grammar, parser="lalr", start="items"))
    else:
        monkeypatch.setattr(lab, changed, re.compile("x") if changed == "UNCLEAR" else "No")
    assert lab.code_fingerprint(lab.generate_answers) != before


def test_a_clock_that_jumps_back_changes_nothing(lab, undisturbed, killed, monkeypatch):
    """Checkpoints from the future, and every look at the clock an hour earlier than the one before."""
    folder = checkpoints(lab, "clock")
    lab.shutil.copytree(killed, folder)
    for number, checkpoint in enumerate(sorted(folder.iterdir())):
        os.utime(checkpoint, (4e9 - 1e6 * number,) * 2)
    now = [4e9]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(lab.time, "time", earlier)
    row = lab.run_experiment("clock", **SHORT)
    assert numbers(lab, "clock", row)[0] == undisturbed[1][0]
    assert 0 < row["training_minutes"] < 30 and row["tokens_per_second"] > 0


def test_a_second_notebook_in_the_same_folder_is_refused_until_the_first_has_ended(lab, tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        lab.open_results(str(tmp_path))
        os.write(writer, b"held")
        signal.pause()
    assert os.read(reader, 4) == b"held"
    with pytest.raises(RuntimeError, match="RESULTS_DIR = .*another notebook is at work in this folder"):
        lab.open_results(str(tmp_path))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lab.open_results(str(tmp_path)) == lab.open_results(str(tmp_path)) == tmp_path, "and again by the same one"


def test_answers_that_were_written_before_a_kill_are_kept(lab, monkeypatch, tmp_path):
    monkeypatch.setattr(lab, "RESULTS", tmp_path)
    assert lab.recall(lab.base_model, ["a", "b"], lambda new: [f"answer {row}" for row in new]) == [
        "answer 0",
        "answer 1",
    ]
    child = os.fork()
    if not child:
        lab.recall(lab.base_model, ["c"], lambda new: os.kill(os.getpid(), signal.SIGKILL))
    os.waitpid(child, 0)
    truncate_end = (tmp_path / "answers.jsonl").read_bytes()[:-5]  # killed while it wrote the second answer
    (tmp_path / "answers.jsonl").write_bytes(truncate_end)
    computed = []
    lab.recall(lab.base_model, ["a", "b", "c"], lambda new: computed.extend(new) or ["again"] * len(new))
    assert computed == [1, 2]


def test_the_same_seed_gives_the_same_splits_losses_and_answers(lab, undisturbed, tmp_path, monkeypatch):
    pairs, _, _ = lab.keep_pairs(lab.open_sources("generated", [], 1), 64, 256, lab.token_count)
    assert [part.to_list() for part in lab.split_pairs(pairs, 1)][:2] == [
        lab.train_dataset.to_list(),
        lab.eval_dataset.to_list(),
    ]
    assert [part.to_list() for part in lab.split_pairs(pairs, 2)][0] != lab.train_dataset.to_list()
    monkeypatch.setattr(lab, "LOGGING_STEPS", 1)
    monkeypatch.setattr(lab, "MAX_NEW_TOKENS", 12)
    seen = []
    for name in ("one", "two"):
        monkeypatch.setattr(lab, "RESULTS", tmp_path / name)
        (tmp_path / name).mkdir()
        lab.run_experiment("seeded", **SHORT | {"num_epochs": 3})
        tutor = lab.PeftModel.from_pretrained(lab.base_model, test_training.adapter_folder(lab, "seeded")).eval()
        prompts = [lab.render(messages[:1]) for messages in lab.eval_dataset["messages"]]
        seen.append(
            (test_training.history(lab, "seeded")["loss"].dropna().tolist()[:20], lab.generate_answers(tutor, prompts))
        )
        lab.detach_adapter(lab.base_model)
    assert len(seen[0][0]) == 20 and seen[0] == seen[1]
