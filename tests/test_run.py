"""The whole notebook, executed with small settings: what it wrote and what it
showed."""

import json
import math
import pathlib
import re

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
    assert table["learning_rate"].tolist() == pytest.approx([1.3e-3, 0.65e-3, 1.3e-3])
    assert table["lora_rank"].tolist() == [32, 32, 64]
    assert (
        table["trainable_parameters"]["Exp3_HigherRank"]
        == 2 * table["trainable_parameters"]["Exp1_Baseline"]
    )
    assert (
        table[
            [
                "final_train_loss",
                "best_validation_loss",
                "training_minutes",
            ]
        ]
        > 0
    ).all(axis=None)
    assert table["best_validation_loss"].nunique() == 3
    sizes = [
        (results / folder / "adapter_model.safetensors").stat().st_size
        for folder in table["adapter"]
    ]
    assert sizes[2] > 1.9 * sizes[0]


@pytest.fixture(scope="module")
def metrics(results) -> dict:
    return json.loads((results / "metrics.json").read_text())


@pytest.fixture(scope="module")
def records(metrics) -> pd.DataFrame:
    return pd.DataFrame(metrics["records"]).set_index(["set", "metric", "model"])


def test_a_short_training_already_beats_the_base(results, run, metrics, records):
    best, base = metrics["best_experiment"], metrics["baseline"]
    perplexity = records["value"]["test"]["perplexity"]
    assert perplexity[best] < 0.75 * perplexity[base]
    assert records.loc[("test", "perplexity", best)]["p"] < 0.05
    losses = pd.read_csv(results / "experiments.csv").set_index("experiment")[
        "best_validation_loss"
    ]
    assert best == run["best_experiment"] == losses.idxmin()


def test_every_experiment_and_both_ways_of_asking_the_base_are_in_the_table(records):
    models = {"base", "base (our template)", *EXPERIMENTS}
    assert set(records["value"]["test"]["bleu"].index) == models
    for metric in (
        "accuracy",
        "rouge1",
        "rouge2",
        "rougeL",
        "bleu",
        "perplexity",
        "ended",
    ):
        rows = records.loc["test"].loc[metric]
        assert set(rows.index) == models
        assert (
            (rows["low"] <= rows["value"] + 1e-9)
            & (rows["value"] <= rows["high"] + 1e-9)
        ).all() or metric in ("bleu",)


def test_the_better_way_of_asking_the_base_is_the_baseline(metrics, records):
    ways = (
        records["value"]["test"].unstack("metric").loc[["base", "base (our template)"]]
    )
    assert (
        metrics["baseline"]
        == ways.sort_values(["accuracy", "perplexity"], ascending=[False, True]).index[
            0
        ]
    )
    for set_name, table in records.groupby("set"):
        assert table.index[0][2] == metrics["baseline"], (
            f"in {set_name} it stands first: differences are taken to it"
        )


def test_predictions_hold_everything_that_the_tables_are_made_of(
    notebook, results, run, metrics
):
    lines = results / "predictions.jsonl"
    predictions = pd.read_json(lines, lines=True, dtype=False)
    predictions = predictions.fillna({"reference": ""})
    samples, topics = run["settings"]["EVAL_SAMPLES"], len(notebook.COMPUTABLE)
    fresh = topics * run["settings"]["FRESH_PER_TOPIC"]
    sizes = {"test": samples, "fresh": fresh, "fresh, calculator": fresh}
    sizes |= {"off-topic": samples, "on-topic": samples}
    expected = pd.DataFrame(metrics["records"])
    for name, part in predictions.groupby("set", sort=False):
        models = {
            model: rows.reset_index(drop=True)
            for model, rows in part.groupby("model", sort=False)
        }
        assert {len(rows) for rows in models.values()} == {sizes.pop(name, None)}
        again = notebook.compare_models(models)
        before = expected[expected["set"] == name].drop(columns="set")
        before = before.reset_index(drop=True)
        p_values, p_before = again.pop("p").to_numpy(), before.pop("p").to_numpy()
        # JSON rounds, which decides some ties.
        assert p_values == pytest.approx(p_before, abs=0.005, nan_ok=True)
        pd.testing.assert_frame_equal(again, before, rtol=1e-6, check_dtype=False)
    assert not sizes, "every set is on record"


def test_the_report_is_written_from_the_files_alone(notebook, results, tmp_path):
    for name in ("run.json", "metrics.json", "experiments.csv"):
        (tmp_path / name).write_bytes((results / name).read_bytes())
    notebook.write_report(tmp_path)
    report = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert report == (results / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[.*?\]\((.*?)\)", report)
    assert shown and all((results / picture).is_file() for picture in shown)
    assert str(ROOT.parent) not in report and str(results) not in report


def test_the_worksheet_is_written(results):
    page = (results / "worksheet.html").read_text(encoding="utf-8")
    assert page.count("<li>") == 6 and "break-before: page" in page


def test_run_json_is_enough_to_know_the_run(run):
    assert run["settings"]["PRESET"] == "embedded"
    assert run["settings"]["DATASET_SIZE"] == 80
    assert {"torch", "transformers", "peft", "bitsandbytes", "gradio"} <= set(
        run["versions"]
    )
    assert re.search(r", \d+ cores, GPU: ", run["machine"])
    assert set(run["seconds"]) == {
        "settings",
        "data",
        "model",
        "base",
        "experiments",
        "results",
        "chat",
    }
    assert all(
        seconds >= 0 and math.isfinite(seconds) for seconds in run["seconds"].values()
    )


def test_the_user_saw_why_what_and_how_well(executed_notebook, run):
    shown = "\n".join(map(executed_notebook.text_of, executed_notebook.notebook.cells))
    assert "Preset: embedded, because you asked for it." in shown
    assert "trainable params: 9,768,960" in shown
    assert "graded: '2 + 3 = 5<|im_end|>'" in shown
    metrics = json.loads((executed_notebook.results / "metrics.json").read_text())
    assert metrics["verdict"] in shown and metrics["verdict_with_calculator"] in shown
    for prompt in ("<|im_start|>assistant", "### Response:"):
        assert prompt in shown


def test_plots_are_shown_and_saved(executed_notebook, results):
    images = [
        output
        for cell in executed_notebook.notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 3
    for name in ("loss_curves.png", "metrics.png", "topics.png"):
        assert (results / name).read_bytes().startswith(b"\x89PNG")


def test_nothing_is_printed_that_a_reader_must_not_see(executed_notebook):
    """No traceback, no warning about our own code, no path of the machine it ran on."""
    for cell in executed_notebook.notebook.cells:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            text = output.get("text", "")
            assert "Traceback" not in text and "Warning" not in text, text
            assert (
                str(ROOT.parent) not in text and str(pathlib.Path.home()) not in text
            ), text


def test_the_notebook_carries_no_outputs():
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
