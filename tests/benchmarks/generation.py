"""Answers: the published way, one at a time, and this notebook's `generate_answers`,
with the same adapter.

    python tests/benchmarks/generation.py --json results/benchmarks/generation.json

The adapter is one of a run (`--adapter results/adapters/Exp1_Baseline`), or one that
the notebook trains first on its own problems. Both recipes answer held-out problems
with the same limit of tokens.

- published: the model in 4 bits as `from_pretrained` loads it (float16, on a CPU
  bfloat16, for which bitsandbytes has kernels of its own), its adapter beside it, one
  question at a time, sampled (temperature 0.7, top_p 0.9). The time of n answers is n
  times that of one, so `--alone` of the questions will do.
- notebook: all questions at once, greedily, in batches by length that rows leave when
  they have ended.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from test_training import run  # noqa: E402


def make_adapter(options: argparse.Namespace) -> dict[str, float]:
    """Train an adapter on the notebook's own problems and save it where the options
    say."""
    lab = common.open_notebook(
        options.model,
        options.dtype,
        options.adapter,
        LORA_TARGET_MODULES="all-linear",
        EVAL_STEPS=10**6,
    )
    lab.base_model = lab.load_base_model(
        lab.MODEL_PATH, lab.tokenizer, lab.COMPUTE_DTYPE
    )
    rules = dict(seen=set(), max_length=256, token_count=lab.token_count)
    pairs, _, _ = lab.keep_pairs(
        lab.open_sources("generated", [], 1),
        options.train_rows,
        lab.partial(lab.check_row, **rules),
    )
    lab.train_dataset, lab.eval_dataset = (
        lab.Dataset.from_list(part) for part in (pairs, pairs[:8])
    )
    run(
        lab,
        "adapter",
        learning_rate=options.learning_rate,
        batch_size=2,
        gradient_accumulation_steps=1,
        num_epochs=1,
        lora_rank=lab.LORA_RANK,
    )
    return {}


def published(lab, options: argparse.Namespace, prompts: list[str]) -> list[int]:
    """Tokens of each answer, given one at a time."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    half = common.half_precision(lab)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=half,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    model = AutoModelForCausalLM.from_pretrained(
        lab.MODEL_PATH,
        quantization_config=quantization,
        dtype=half,
        device_map={"": 0 if torch.cuda.is_available() else "cpu"},
    )
    model = PeftModel.from_pretrained(model, options.adapter).eval()

    @torch.no_grad()
    def answer(prompt: str) -> int:
        inputs = lab.tokenizer(
            prompt, add_special_tokens=False, return_tensors="pt"
        ).to(model.device)
        written = model.generate(
            **inputs,
            max_new_tokens=options.max_new_tokens,
            temperature=0.7,
            top_p=0.9,
            do_sample=True,
            pad_token_id=lab.tokenizer.eos_token_id,
        )
        return written.shape[1] - inputs["input_ids"].shape[1]

    answer(prompts[0])  # the first answer also repacks weights
    return timed(lambda: [answer(prompt) for prompt in prompts[: options.alone]])


def notebook(
    lab, options: argparse.Namespace, prompts: list[str]
) -> tuple[list[int], float, float]:
    """Tokens of each answer, given together."""
    model = lab.PeftModel.from_pretrained(
        lab.load_base_model(lab.MODEL_PATH, lab.tokenizer, lab.COMPUTE_DTYPE),
        options.adapter,
    ).eval()

    def lengths(prompts: list[str]) -> list[int]:
        form = (lab.tokenizer, prompts, options.max_new_tokens)
        answers = lab.generate_answers(model, *form)
        return [answer["answer_tokens"] for answer in answers]

    lengths(prompts[:1])
    return timed(lambda: lengths(prompts))


def timed(answer) -> tuple[list[int], float, float]:
    """What a function returns, and how long it took on the wall and on the processor
    (seconds)."""
    began, began_cpu = time.perf_counter(), time.process_time()
    return answer(), time.perf_counter() - began, time.process_time() - began_cpu


def recipe(way):
    """A function of the options that measures one recipe in this process."""

    def measured(options: argparse.Namespace) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            lab = common.open_notebook(
                options.model,
                options.dtype,
                folder,
                MAX_NEW_TOKENS=options.max_new_tokens,
            )
            lab.set_seed(lab.SEED)
            per_topic = -(-options.questions // len(lab.COMPUTABLE))
            problems = lab.fresh_problems(per_topic, lab.SEED + 1).shuffle(
                seed=lab.SEED
            )
            prompts = [
                lab.render(row[:1], lab.tokenizer)
                for row in problems["messages"][: options.questions]
            ]
            tokens, seconds, cpu_seconds = way(lab, options, prompts)
        return {
            "answers per second": len(tokens) / seconds,
            "answers per CPU second": len(tokens) / cpu_seconds,
            "tokens per second": sum(tokens) / seconds,
            "tokens per CPU second": sum(tokens) / cpu_seconds,
            "tokens per answer": sum(tokens) / len(tokens),
            "answers": len(tokens),
            "peak memory, GB": common.peak_memory(),
        }

    return measured


RECIPES = {"published": recipe(published), "notebook": recipe(notebook)}
RATES = [
    "answers per second",
    "answers per CPU second",
    "tokens per second",
    "tokens per CPU second",
]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = common.arguments(__doc__)
    parser.add_argument(
        "--questions", type=int, default=50, help="questions that the notebook answers"
    )
    parser.add_argument(
        "--alone",
        type=int,
        default=10,
        help="how many of them are answered the published way",
    )
    parser.add_argument(
        "--max-new-tokens", type=int, default=200, help="the longest answer, for both"
    )
    parser.add_argument(
        "--adapter", help="folder of an adapter; without it one is trained"
    )
    parser.add_argument(
        "--train-rows", type=int, default=100, help="problems to train that adapter on"
    )
    parser.add_argument("--learning-rate", type=float, default=1.8e-3)
    return parser.parse_args(words)


if __name__ == "__main__":
    options = parse()
    if options.only == "adapter":
        make_adapter(options)
    elif options.adapter:
        common.run(options, RECIPES, "notebook", RATES)
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, *sys.argv, "--only", "adapter", "--adapter", folder],
                check=True,
            )
            (adapter,) = pathlib.Path(folder, "adapters").iterdir()
            sys.argv += ["--adapter", str(adapter)]
            common.run(parse(), RECIPES, "notebook", RATES)
