"""Nothing is lost: an embedded run that is killed many times ends as one that is
left alone.

    python tests/benchmarks/kills.py [--kills 20] [--folder FOLDER] [--json FILE]
        [--seed 0] [NAME=VALUE ...]

Executes the notebook once undisturbed, then again in another folder with SIGKILLs at
random moments spread over it, restarting it each time. NAME=VALUE are settings of
the notebook. Prints what it compares: the best experiment, experiments.csv up to
durations, the validation losses (to 1e-3) and the best one's answers. Takes the time
of two runs and of what the kills cost.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import pandas as pd
import psutil

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from conftest import NOTEBOOK  # noqa: E402

SMALL = dict(
    PRESET="embedded",
    DATASET_SIZE=80,
    EVAL_SAMPLES=4,
    FRESH_PER_TOPIC=1,
    MAX_NEW_TOKENS=32,
    EVAL_STEPS=8,
)
DURATIONS = ["training_minutes", "peak_gpu_memory_gb"]


def execute(
    results: pathlib.Path, settings: dict, kill_after: float | None = None
) -> bool:
    """Run the notebook with papermill; it and its kernel are killed after some seconds;
    whether it came to its end."""
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(NOTEBOOK),
        str(results.with_suffix(".ipynb")),
        "--no-progress-bar",
    ]
    for name, value in dict(
        settings, RESULTS_DIR=str(results), SHARE_LINK=False
    ).items():
        command += ["-p", name, str(value)]
    with open(results.with_suffix(".log"), "a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            returned = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            pass
        else:
            if returned:
                sys.exit(f"The notebook failed: see {results.with_suffix('.log')}")
            return True
        papermill = psutil.Process(process.pid)
        for victim in [*papermill.children(recursive=True), papermill]:
            victim.kill()
        process.wait()
    return False


def compare(alone: pathlib.Path, killed: pathlib.Path) -> dict[str, bool]:
    """What must be equal in two folders of results."""
    tables = [
        pd.read_csv(folder / "experiments.csv").drop(columns=DURATIONS)
        for folder in (alone, killed)
    ]
    metrics = [
        json.loads((folder / "metrics.json").read_text()) for folder in (alone, killed)
    ]
    losses = [table["best_validation_loss"] for table in tables]
    return {
        "best experiment": metrics[0]["best_experiment"]
        == metrics[1]["best_experiment"],
        "experiments.csv up to durations": tables[0].equals(tables[1]),
        "validation losses to 1e-3": bool((abs(losses[0] - losses[1]) < 1e-3).all()),
        "every metric": metrics[0]["records"] == metrics[1]["records"],
    }


def main() -> None:
    """Run undisturbed, run with kills, compare; the exit status says whether all is
    equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--folder", type=pathlib.Path, default=None)
    parser.add_argument(
        "--json", type=pathlib.Path, help="file to write the comparison to"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    folder = options.folder or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    settings = SMALL | dict(setting.split("=", 1) for setting in options.settings)

    began = time.monotonic()
    execute(folder / "alone", settings)
    seconds = time.monotonic() - began
    print(f"Undisturbed: {seconds:.0f} s", flush=True)

    spent = json.loads((folder / "alone" / "run.json").read_text())["seconds"]
    start = (
        seconds
        - sum(spent.values())
        + sum(spent[name] for name in ("settings", "data", "model"))
    )
    draw, times, ended = random.Random(options.seed), [], False
    while len(times) < options.kills and not ended:
        # Some lives end before training begins; the others advance by a part of the run
        # that leaves room for all kills.
        times.append(
            draw.uniform(0.2 * start, start + (seconds - start) / options.kills)
        )
        ended = execute(folder / "killed", settings, times[-1])
        print(
            f"Kill {len(times)}: "
            + ("came too late" if ended else f"after {times[-1]:.0f} s"),
            flush=True,
        )
    began = time.monotonic()
    execute(folder / "killed", settings)
    outcome = compare(folder / "alone", folder / "killed")
    report = {
        "kills": len(times) - ended,
        "seconds_of_each_life": [round(life) for life in times],
        "seconds_undisturbed": round(seconds),
        "seconds_of_the_last_life": round(time.monotonic() - began),
        "equal": outcome,
    }
    if options.json:
        common.save(options.json, report)
    print(json.dumps(report, indent=1))
    sys.exit(not all(outcome.values()))


if __name__ == "__main__":
    main()
