"""What the notebook's own problems do beside another dataset's (GENERATED_SHARE).

    python tests/benchmarks/mixed.py DATA [--pairs 320] [--share 0.15] [--json FILE]

DATA is a file of question and answer, such as GSM8K's. Trains the small model twice for
the same number of steps, without and with the notebook's problems among the pairs.
Compares right answers, with the calculator, on fresh problems of the notebook, on those
written by hand, and on rows of DATA that neither training saw.
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from conftest import load_notebook  # noqa: E402
from off_topic import answer_set, prepare  # noqa: E402
from test_training import run as run_experiment  # noqa: E402

HELD_BACK = 100  # rows of DATA
SETS = ("fresh, calculator", "on-topic", "held back")


def train_and_answer(data: pathlib.Path, share: float, pairs: int) -> tuple:
    """One training with this share; returns the notebook and its rows by set."""
    settings = load_notebook("shipped").SHIPPED | dict(
        DATASET_NAME=str(data),
        DATASET_CONFIGS=[],
        DATASET_SIZE=15 * HELD_BACK,  # a tenth of them is for the test
        GENERATED_SHARE=share,
        FRESH_PER_TOPIC=5,
        SHARE_LINK=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        lab = prepare(settings, folder)
        of_file = lab.test_dataset.filter(lambda row: row["source"] == data.name)
        held_back = of_file.select(range(HELD_BACK))
        lab.train_dataset = lab.train_dataset.select(range(pairs))
        lab.eval_dataset = lab.eval_dataset.select(range(40))
        sizes = ("BATCH_SIZE", "GRADIENT_ACCUMULATION_STEPS", "NUM_EPOCHS", "LORA_RANK")
        chosen = {name.lower(): getattr(lab, name) for name in sizes}
        row = run_experiment(lab, "mixed", learning_rate=lab.LEARNING_RATE, **chosen)
        adapter = lab.RESULTS / row["adapter"]
        tutor = lab.PeftModel.from_pretrained(lab.base_model, adapter).eval()
        lab.held_out["held back"] = dict(dataset=held_back, calculator=True)
        return lab, {name: answer_set(lab, tutor, name) for name in SETS}


def main() -> None:
    """Train and answer twice; print and write a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=320, help="for each training")
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    _, without = train_and_answer(options.data, 0.0, options.pairs)
    lab, mixed = train_and_answer(options.data, options.share, options.pairs)
    found = {}
    for name in SETS:
        models = {"without": without[name], f"share {options.share}": mixed[name]}
        table = lab.compare_models(models)
        found[name] = table.to_dict("records")
        print(f"\n{name}\n{lab.show_comparison(table).to_string()}", flush=True)
    if options.json:
        common.save(options.json, found)


if __name__ == "__main__":
    main()
