"""What the benchmarks share: the notebook around a model, rows, processes of their own,
medians and ratios."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from functools import partial

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from conftest import SHARED_DATA, load_notebook  # noqa: E402

CACHE = pathlib.Path.home() / ".cache" / "math_education_assistant"
TINYLLAMA = dict(  # as published with TinyLlama/TinyLlama-1.1B-Chat-v1.0
    vocab_size=32000,
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    max_position_embeddings=2048,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
# tokens, the published notebook's; rows that are longer are left out for every recipe
MAX_LENGTH = 300
ADAPTER = {
    "LORA_RANK": 16,
    "LORA_ALPHA_RATIO": 2.0,
    "LORA_TARGET_MODULES": ["q_proj", "k_proj", "v_proj", "o_proj"],
}


def tinyllama_folder(**changes) -> pathlib.Path:
    """TinyLlama's architecture with seeded random weights and a 32,000-piece tokenizer,
    made once and kept.

    Speed and memory do not depend on the values of weights. `changes` to the
    configuration make it smaller.
    """
    import mistral_common
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = CACHE / "-".join(["TinyLlama-random", *map(str, changes.values())])
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**TINYLLAMA | changes, dtype="float16"))
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            work = pathlib.Path(work)
            model.to(torch.float16).save_pretrained(work / "model")
            pieces = (
                pathlib.Path(mistral_common.__file__).parent
                / "data"
                / "tokenizer.model.v1"
            )
            (work / "model" / "tokenizer.model").write_bytes(pieces.read_bytes())
            kind = {
                "tokenizer_class": "LlamaTokenizer",
                "legacy": False,
                "unk_token": "<unk>",
            }
            ends = {"bos_token": "<s>", "eos_token": "</s>"}
            (work / "model" / "tokenizer_config.json").write_text(
                json.dumps(kind | ends)
            )
            os.replace(work / "model", folder)
    return folder


def open_notebook(
    model: str, dtype: str, folder: str | pathlib.Path, **settings
) -> types.ModuleType:
    """The notebook's definitions with a tokenizer, `MODEL_PATH` and a results folder;
    no model is loaded yet."""

    lab = load_notebook(
        "benchmarked", RESULTS_DIR=str(folder), MAX_LENGTH=MAX_LENGTH, **ADAPTER
    )
    if model == "embedded":
        lab.LORA_DROPOUT = lab.BY_MODEL["LORA_DROPOUT"][1]
    lab.__dict__.update(settings)
    lab.RESULTS = pathlib.Path(folder)
    folders = {
        "embedded": lambda: lab.unpack_embedded_model(CACHE),
        "tinyllama": tinyllama_folder,
    }
    lab.MODEL_PATH = folders[model]() if model in folders else pathlib.Path(model)
    lab.tokenizer = lab.load_tokenizer(lab.MODEL_PATH)
    lab.token_count = partial(lab.templated_length, tokenizer=lab.tokenizer)
    config = lab.AutoConfig.from_pretrained(lab.MODEL_PATH)
    tokens = lab.BATCH_SIZE * MAX_LENGTH // 2
    lab.COMPUTE_DTYPE, why = lab.choose_dtype(
        dtype, config.hidden_size, tokens, lab.RESULTS / "number_format.json"
    )
    print(f"The notebook computes in {lab.COMPUTE_DTYPE}, because {why}.")
    return lab


def half_precision(lab: types.ModuleType):
    """The other recipes' number format, which is half of float32 everywhere; the
    notebook's is what it chooses."""
    import torch

    return torch.float16 if lab.COMPUTE_DTYPE == "float16" else torch.bfloat16


def take_rows(lab: types.ModuleType, count: int) -> list[list[dict]]:
    """`count` pairs of at most `MAX_LENGTH` tokens: from GSM8K where it lies beside the
    repository, else generated."""
    file = SHARED_DATA / "gsm8k_train.jsonl"
    rules = dict(seen=set(), max_length=MAX_LENGTH, token_count=lab.token_count)
    pairs, _, _ = lab.keep_pairs(
        lab.open_sources(str(file) if file.exists() else "generated", [], 1),
        count,
        partial(lab.check_row, **rules),
    )
    return [pair["messages"] for pair in pairs]


def resident_peak() -> float:
    """The most main memory this process has had so far (GB)."""
    unit = (
        1 if platform.system() == "Darwin" else 1024
    )  # bytes there, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def peak_memory() -> float:
    """The most memory this process has had so far (GB): on the GPU where there is one,
    else main memory."""
    import torch

    return (
        torch.cuda.max_memory_allocated() / 1e9
        if torch.cuda.is_available()
        else resident_peak()
    )


def resident_memory() -> float:
    """The memory this process has now (GB)."""
    import psutil

    return psutil.Process().memory_info().rss / 1e9


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with what every benchmark understands."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--model", default="embedded", help="embedded, tinyllama or a folder"
    )
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto (the notebook's choice), float16, bfloat16 or float32",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="interleaved repetitions, whose medians are shown",
    )
    parser.add_argument("--recipes", nargs="+", help="only these recipes")
    parser.add_argument(
        "--json", type=pathlib.Path, help="file to write all measurements to"
    )
    parser.add_argument(
        "--only", help=argparse.SUPPRESS
    )  # what a child process measures
    return parser


def measure(
    options: argparse.Namespace,
    recipes: dict[str, Callable[[argparse.Namespace], dict]],
) -> dict[str, list]:
    """Every recipe `repeats` times, in turn, each time in a process of its own, so that
    peaks are its own too."""
    chosen = options.recipes or list(recipes)
    measured = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for name in chosen:
                file = pathlib.Path(folder) / f"{name}-{repeat}.json"
                subprocess.run(
                    [sys.executable, *sys.argv, "--only", name, "--json", str(file)],
                    check=True,
                )
                measured[name].append(json.loads(file.read_text()))
                print(
                    f"repetition {repeat + 1}, {name}:", measured[name][-1], flush=True
                )
    return measured


def medians(measured: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
    """The median of each number of each recipe."""
    return {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in measured.items()
    }


def show(tables: dict[str, list[dict]]) -> None:
    """Print each table."""
    import pandas as pd

    for title, rows in tables.items():
        print(
            f"\n{title}", pd.DataFrame(rows).round(2).to_string(index=False), sep="\n"
        )


def save(file: pathlib.Path, found: dict) -> None:
    """Write what was found with the command, the machine and the versions it was found
    with."""
    import torch

    on_gpu = torch.cuda.is_available()
    processor = load_notebook("described").about_processor("model name")
    packages = (
        "torch",
        "transformers",
        "peft",
        "bitsandbytes",
        "accelerate",
        "datasets",
        "trl",
    )
    installed = {
        package.metadata["Name"]: package.version
        for package in importlib.metadata.distributions()
    }
    words = [
        word for word in sys.argv[1:] if not word.startswith("/")
    ]  # not where things lie on this machine
    head = {
        "command": " ".join(
            ["python", f"tests/benchmarks/{pathlib.Path(sys.argv[0]).name}", *words]
        ),
        "device": torch.cuda.get_device_name()
        if on_gpu
        else f"{processor}, {torch.get_num_threads()} threads",
        "versions": {name: installed.get(name) for name in packages},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(head | found, indent=1))


def report(
    options: argparse.Namespace,
    measured: dict[str, list[dict]],
    ours: str,
    rates: list[str],
) -> None:
    """Print medians and how many times the others' rates ours are; write everything to
    the file asked for."""
    table = medians(measured)
    show(
        {
            f"Medians of {options.repeats} repetitions": [
                {"recipe": name, **row} for name, row in table.items()
            ]
        }
    )
    ratios = {
        f"{rate}, {ours} / {other}": table[ours][rate] / table[other][rate]
        for rate in rates
        for other in table
        if ours in table and other != ours
    }
    print("", *(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()), sep="\n")
    if options.json:
        save(options.json, {"medians": table, "ratios": ratios, "measured": measured})


def run(
    options: argparse.Namespace,
    recipes: dict[str, Callable],
    ours: str,
    rates: list[str],
) -> None:
    """The whole benchmark, or, in a child process, one recipe."""
    if options.only:
        options.json.write_text(json.dumps(recipes[options.only](options)))
    else:
        report(options, measure(options, recipes), ours, rates)
