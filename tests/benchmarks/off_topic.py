"""What the refusals among the training pairs cost: the best experiment of a run,
trained again without them.

    python tests/benchmarks/off_topic.py RESULTS

RESULTS is the folder of an embedded run. The same training pairs less those that
decline, the same settings, the same questions; prints right answers and declined
questions with and without, with intervals and p, and writes them to
RESULTS/without_refusals.json. Takes about as long as one experiment and its answers.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from conftest import NOTEBOOK, load_notebook  # noqa: E402
from test_training import run as run_experiment  # noqa: E402

NOT_NEEDED = (
    "install",
    "base",
    "results",
    "chat",
    "check",
    "draw",
    "home",
    "take",
    "experiments-6",
    "experiments-7",
)
SETS = ("fresh", "fresh, calculator", "off-topic", "on-topic")


def prepare(settings: dict, folder: str):
    """The notebook after its sections 2 to 5, with the settings of a run."""
    notebook = load_notebook("without_refusals")
    notebook.__dict__.update(settings, PRESET="embedded", RESULTS_DIR=folder)
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        if (
            cell["cell_type"] == "code"
            and not tags
            and not cell["id"].startswith(NOT_NEEDED)
        ):
            exec(
                compile("".join(cell["source"]), cell["id"], "exec"), notebook.__dict__
            )
    return notebook


def answer_set(notebook, tutor, name: str) -> pd.DataFrame:
    """The tutor's answers to a set of held-out questions, with their measures."""
    return notebook.evaluate_dialogues(
        tutor,
        **notebook.held_out[name],
        tokenizer=notebook.tokenizer,
        max_new_tokens=notebook.MAX_NEW_TOKENS,
        cache=notebook.RESULTS / "answers",
    )


def main() -> None:
    """Train without refusals, answer the same questions, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    results = parser.parse_args().results
    run = json.loads((results / "run.json").read_text())
    experiments = pd.read_csv(results / "experiments.csv").set_index("experiment")
    best = experiments.loc[run["best_experiment"]]
    lines = results / "predictions.jsonl"
    predictions = pd.read_json(lines, lines=True, dtype=False)
    predictions = predictions.fillna({"reference": ""})

    with tempfile.TemporaryDirectory() as folder:
        notebook = prepare(run["settings"], folder)
        for name in ("train_dataset", "eval_dataset"):
            kept = getattr(notebook, name).filter(
                lambda row: row["topic"] != "off-topic"
            )
            print(
                f"{name}: {len(kept)} of {len(getattr(notebook, name))} pairs "
                "are mathematics"
            )
            setattr(notebook, name, kept)
        sizes = ("batch_size", "gradient_accumulation_steps", "num_epochs", "lora_rank")
        row = run_experiment(
            notebook,
            "without",
            learning_rate=float(best["learning_rate"]),
            **{name: int(best[name]) for name in sizes},
        )
        tutor = notebook.PeftModel.from_pretrained(
            notebook.base_model, notebook.RESULTS / row["adapter"]
        ).eval()
        records = []
        for name in SETS:
            chosen = predictions["set"].eq(name) & predictions["model"].eq(best.name)
            before = predictions[chosen].reset_index(drop=True)
            without = answer_set(notebook, tutor, name)
            assert without["question"].tolist() == before["question"].tolist(), (
                "the questions must be the run's own"
            )
            table = notebook.compare_models(
                {"without refusals": without, "with refusals": before}
            )
            records += [{"set": name, **record} for record in table.to_dict("records")]
            print(f"\n{name}\n{notebook.show_comparison(table).to_string()}")
    (results / "without_refusals.json").write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
