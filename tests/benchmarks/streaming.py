"""Preparing pairs from a large dataset, and cost that grows as the work: four sizes,
time and memory.

    python tests/benchmarks/streaming.py --json results/benchmarks/streaming.json \\
        --plot results/benchmarks/growth.png

Local parquet files laid out as UltraData-Math's (columns `uid`, `content`; 50,000
rows a file in row groups of 1,000) are streamed through the notebook's own
`open_sources` and `keep_pairs`, each size in a process of its own. Downloading is
not part of it. `--training` adds training for four numbers of steps.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402

ROWS_PER_FILE, ROWS_PER_GROUP, FILES = 50_000, 1_000, 3
BOUNDS = {"CPU seconds": 60, "memory above the start, GB": 1}  # for 3,000 pairs


def write_files(folder: pathlib.Path) -> None:
    """A few files of UltraData's layout: real conversations where they lie beside the
    repository, and made problems.

    Every row is given a number in its question, so that no question occurs twice.
    """
    import pyarrow
    import pyarrow.parquet

    lab = common.load_notebook("rows")
    file = common.SHARED_DATA / "ultradata_conversation.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    dialogues = [json.loads(line)["content"] for line in lines]
    problems = lab.islice(lab.make_problems(1), 2000)
    texts = [
        f"Problem: {row['question']}\n\nSolution: {row['answer']}" for row in problems
    ]
    draw = random.Random(0)
    (folder / "data").mkdir()
    for number in range(FILES):
        contents = []
        for row in range(ROWS_PER_FILE):
            text = draw.choice(dialogues if dialogues and row % 4 == 0 else texts)
            head, colon, rest = text.partition(": ")
            contents.append(
                f"{head}{colon}In exercise {number * ROWS_PER_FILE + row} "
                f"we ask this. {rest}"
            )
        uids = [f"{number}-{row}" for row in range(ROWS_PER_FILE)]
        table = pyarrow.table({"uid": uids, "content": contents})
        path = folder / "data" / f"train-{number:05}-of-{FILES:05}.parquet"
        pyarrow.parquet.write_table(table, path, row_group_size=ROWS_PER_GROUP)


def prepare(options: argparse.Namespace) -> dict[str, float]:
    """Stream and keep `options.only` pairs in this process."""
    with tempfile.TemporaryDirectory() as folder:
        lab = common.open_notebook(options.model, "auto", folder, MAX_LENGTH=512)
        before, began, began_cpu = (
            common.resident_memory(),
            time.perf_counter(),
            time.process_time(),
        )
        sources = lab.open_sources(str(options.files), [], lab.SEED)
        rules = dict(seen=set(), max_length=512, token_count=lab.token_count)
        pairs, counts, _ = lab.keep_pairs(
            sources, int(options.only), lab.partial(lab.check_row, **rules)
        )
        lab.split_pairs(pairs, lab.SEED)
        assert len(pairs) == int(options.only), counts
        return {
            "pairs": len(pairs),
            "rows read": int(counts["read"].sum()),
            "seconds": time.perf_counter() - began,
            "CPU seconds": time.process_time() - began_cpu,
            "memory above the start, GB": common.resident_peak() - before,
        }


def train(options: argparse.Namespace, steps: int) -> dict[str, float]:
    """`steps` optimizer steps of the notebook, by the other benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "training.json"
        script = pathlib.Path(__file__).with_name("training.py")
        words = [
            "--only",
            "notebook",
            "--json",
            file,
            "--model",
            options.model,
            "--steps",
            steps,
            "--eval-rows",
            2,
        ]
        subprocess.run([sys.executable, str(script), *map(str, words)], check=True)
        found = json.loads(file.read_text())
    wanted = ("real tokens", "train, seconds", "train, CPU seconds", "peak memory, GB")
    return {"steps": steps, **{name: found[name] for name in wanted}}


def plot(tables: dict[str, list[dict]], file: pathlib.Path) -> None:
    """Time and memory over the amount of work, from zero, so that growth in proportion
    is a straight line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        len(tables),
        2,
        figsize=(9, 3.2 * len(tables)),
        squeeze=False,
        layout="constrained",
    )
    for row, (title, table) in zip(panels, tables.items()):
        work = "pairs" if "pairs" in table[0] else "real tokens"
        for panel, part in zip(row, ("CPU seconds", "GB")):
            for column in [name for name in table[0] if name.endswith(part)]:
                panel.plot(
                    [run[work] for run in table], [run[column] for run in table], "ko-"
                )
                panel.set(title=title, xlabel=work, ylabel=column, xlim=(0, None))
                panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
                panel.locator_params(axis="x", nbins=5)
    figure.savefig(file, dpi=120)


def main() -> None:
    """Write the files, measure every size, print and keep what was found."""
    parser = common.arguments(__doc__)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[750, 1500, 3000, 6000],
        help="pairs to prepare",
    )
    parser.add_argument(
        "--training",
        type=int,
        nargs="*",
        help="also train for these numbers of steps (2 4 8 16)",
    )
    parser.add_argument("--plot", type=pathlib.Path, help="picture to write")
    parser.add_argument("--files", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        options.json.write_text(json.dumps(prepare(options)))
        return
    tables = {"Streaming and preparing": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_files(folder)
        for size in options.sizes:
            file = folder / "found.json"
            command = [
                sys.executable,
                sys.argv[0],
                "--only",
                str(size),
                "--files",
                str(folder / "data"),
                "--json",
                str(file),
            ]
            subprocess.run([*command, "--model", options.model], check=True)
            tables["Streaming and preparing"].append(json.loads(file.read_text()))
    if options.training is not None:
        tables["Training"] = [
            train(options, steps) for steps in options.training or (2, 4, 8, 16)
        ]
    common.show(tables)
    for run in tables["Streaming and preparing"]:
        for name, bound in BOUNDS.items() if run["pairs"] == 3000 else ():
            print(
                f"3,000 pairs, {name}: {run[name]:.2f}, "
                f"{'within' if run[name] < bound else 'ABOVE'} {bound}"
            )
    if options.plot:
        plot(tables, options.plot)
    if options.json:
        common.save(options.json, tables)


if __name__ == "__main__":
    main()
