"""The whole notebook, executed with small settings on the embedded preset: what it wrote, and what it showed."""

import json
import math
import pathlib

import pandas as pd
import pytest
from conftest import NOTEBOOK, ROOT

EXPERIMENTS = ["Exp1_Baseline", "Exp2_LowerLR", "Exp3_HigherRank"]


@pytest.fixture(scope="module")
def results(executed_notebook):
    return executed_notebook.results


@pytest.fixture(scope="module")
def run(results) -> dict:
    return json.loads((results / "run.json").read_text())


def test_every_experiment_has_its_row_and_its_adapter(results):
    table = pd.read_csv(results / "experiments.csv").set_index("experiment")
    assert list(table.index) == EXPERIMENTS
    assert table["learning_rate"].tolist() == pytest.approx([2.5e-3, 1.25e-3, 2.5e-3])
    assert table["lora_rank"].tolist() == [16, 16, 32]
    assert table["trainable_parameters"]["Exp3_HigherRank"] == 2 * table["trainable_parameters"]["Exp1_Baseline"]
    assert (table[["final_train_loss", "best_validation_loss", "training_minutes", "tokens_per_second"]] > 0).all(
        axis=None
    )
    assert table["best_validation_loss"].nunique() == 3
    sizes = [(results / "adapters" / name / "adapter_model.safetensors").stat().st_size for name in EXPERIMENTS]
    assert sizes[2] > 1.9 * sizes[0]


def test_a_short_training_already_beats_the_base(results, run):
    table = pd.read_csv(results / "metrics.csv").set_index("model")
    best = run["best_experiment"]
    assert list(table.index) == ["base", best, "difference"]
    assert table["perplexity"][best] < 0.75 * table["perplexity"]["base"]
    assert table["perplexity"]["difference"] == pytest.approx(table["perplexity"][best] - table["perplexity"]["base"])
    losses = pd.read_csv(results / "experiments.csv").set_index("experiment")["best_validation_loss"]
    assert best == losses.idxmin()


def test_predictions_hold_question_reference_and_both_answers(results, run):
    rows = [json.loads(line) for line in (results / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == run["settings"]["EVAL_SAMPLES"]
    for row in rows:
        assert row["question"] and row["reference"] and isinstance(row["base_ended"], bool)
        assert run["best_experiment"] in row
    assert len({row["question"] for row in rows}) == len(rows)


def test_run_json_is_enough_to_know_the_run(run):
    assert run["settings"]["PRESET"] == "embedded" and run["settings"]["DATASET_SIZE"] == 80
    assert {"torch", "transformers", "peft", "bitsandbytes", "gradio"} <= set(run["versions"])
    assert run["hardware"]["cores"] >= 1
    assert set(run["seconds"]) == {"settings", "data", "model", "base", "experiments", "results", "chat"}
    assert all(seconds >= 0 and math.isfinite(seconds) for seconds in run["seconds"].values())


def test_the_user_saw_why_what_and_how_well(executed_notebook, run):
    shown = "\n".join(map(executed_notebook.text_of, executed_notebook.notebook.cells))
    assert "Preset: embedded, because you asked for it." in shown
    assert "trainable params: 4,884,480" in shown
    assert "graded: '2 + 3 = 5<|im_end|>'" in shown
    assert "Fine-tuning helped" in shown
    assert run["best_experiment"] in shown


def test_plots_are_shown_and_saved(executed_notebook, results):
    images = [
        output
        for cell in executed_notebook.notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 2
    for name in ("loss_curves.png", "metrics.png"):
        assert (results / name).read_bytes().startswith(b"\x89PNG")


def test_nothing_is_printed_that_a_reader_must_not_see(executed_notebook):
    """No traceback, no warning about our own code, no path of the machine it ran on."""
    for cell in executed_notebook.notebook.cells:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            text = output.get("text", "")
            assert "Traceback" not in text and "Warning" not in text, text
            assert str(ROOT.parent) not in text and str(pathlib.Path.home()) not in text, text


def test_the_notebook_carries_no_outputs():
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
