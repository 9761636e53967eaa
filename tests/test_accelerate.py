"""Under `accelerate launch` the notebook's script trains with two processes as one does, and writes each file once."""

import json
import os
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
import test_training
from conftest import NOTEBOOK

lab = test_training.lab
SETTINGS = dict(
    PRESET="embedded", DATASET_SIZE=80, BATCH_SIZE=4, NUM_EPOCHS=1, LORA_RANK=4, EVAL_SAMPLES=2, FRESH_PER_TOPIC=1,
    MAX_NEW_TOKENS=8, LOGGING_STEPS=1, SHARE_LINK=False, COMPUTE_DTYPE="float32",
)  # fmt: skip


def run_script(folder: pathlib.Path, model: pathlib.Path, launcher: list[str], processes: int) -> pathlib.Path:
    """The notebook as nbconvert's script, run in a folder of its own; returns its results."""
    from nbconvert import PythonExporter
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    settings = SETTINGS | {"MODEL_NAME": str(model), "RESULTS_DIR": "out"}
    book = parameterize_notebook(load_notebook_node(str(NOTEBOOK)), settings)
    folder.mkdir()
    (folder / "script.py").write_text(PythonExporter().from_notebook_node(book)[0], encoding="utf-8")
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", MPLBACKEND="agg", PYTHONWARNINGS="ignore", CUDA_VISIBLE_DEVICES=""
    )
    command = [sys.executable, *launcher, "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-12000:]  # of all processes
    assert done.stdout.count("\nExp1_Baseline: ") == processes, "each process says what it trains"
    return folder / "out"


@pytest.fixture(scope="module")
def runs(lab, sentencepiece_folder, tmp_path_factory):
    """The results of one process and of two, with a tiny model."""
    folder = tmp_path_factory.mktemp("accelerate")
    for file in sentencepiece_folder.iterdir():
        (lab.RESULTS / "base" / file.name).write_bytes(file.read_bytes())
    two = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    two += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    model = lab.RESULTS / "base"
    return [run_script(folder / "one", model, [], 1), run_script(folder / "two", model, two, 2)]


def test_two_processes_give_the_loss_of_one(runs):
    one, two = (pd.read_csv(results / "experiments.csv").set_index("experiment") for results in runs)
    assert len(one) == len(two) == 3
    for column in ("final_train_loss", "best_validation_loss"):
        assert two[column].tolist() == pytest.approx(one[column].tolist(), rel=1e-3)
    assert two["best_step"].tolist() == one["best_step"].tolist()
    assert one["adapter"].tolist() == two["adapter"].tolist()
    for folder in one["adapter"]:
        files = [results / folder / "finished.json" for results in runs]
        histories = [json.loads(file.read_text())["history"] for file in files]
        losses = [[entry["loss"] for entry in history if "loss" in entry] for history in histories]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_each_file_is_written_once(runs):
    one, two = ({str(path.relative_to(results)) for path in results.rglob("*")} for results in runs)
    assert one == two
    answers = [(results / "answers.jsonl").read_text().splitlines() for results in runs]
    keys = [[*json.loads(line)][0] for line in answers[1] if line]
    assert len(keys) == len(set(keys)), "no answer is written twice"
