"""Training: the published recipe, TRL's SFTTrainer at its defaults and this notebook on
the same rows.

    pip install -r tests/benchmarks/requirements.txt
    python tests/benchmarks/training.py --json results/benchmarks/training.json

Same rows, model, seed, layers and rank of the adapter, learning rate, schedule and
effective batch; no evaluation and no checkpoint while training. Real tokens are those
of the rows, without padding. On a machine that others use as well, the rates per CPU
second are the steady ones.

- published: rows padded to 300 tokens, loss on all of them, gradient checkpointing,
  `prepare_model_for_kbit_training`, the model loaded anew for each experiment and the
  old one kept, 5 % dropout in the adapter. Its float16 autocast becomes bfloat16 on a
  CPU.
- trl: SFTTrainer and SFTConfig as they come (bfloat16 autocast, gradient checkpointing,
  no dropout in the adapter), with completion-only loss. On a GPU without bfloat16 (or
  with --dtype float16) `fp16=True`, since `bf16=True` cannot run there.
- trl float32: the same without autocast, for CPUs on which the notebook computes in
  float32. How much of its lead is this choice can be read from it. Left out on a GPU.
- notebook: the notebook's own functions at its preset's dropout (embedded: none), in
  the number format that it finds to be the faster one on this machine; the first line
  printed says which.

`--alone` measures instead what each trick of the notebook is worth: the notebook with
one of them undone at a time. `--profile` tells which operations the notebook's training
spends the processor's time on.
"""

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time
from collections import Counter
from functools import partial

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from test_training import setup_of  # noqa: E402


def clock(began: list[float]) -> list[float]:
    """Seconds on the wall and of the processor since `began`."""
    return [
        now - then
        for now, then in zip((time.perf_counter(), time.process_time()), began)
    ]


def now() -> list[float]:
    """The wall's and the processor's time."""
    return clock([0.0, 0.0])


class Run:
    """What one process measures: rows, phases in seconds, and the model that came
    out."""

    def __init__(self, options: argparse.Namespace, folder: str) -> None:
        from transformers import set_seed

        self.options, self.folder, self.phases = options, folder, {}
        self.lab = common.open_notebook(options.model, options.dtype, folder)
        rows = common.take_rows(
            self.lab,
            options.steps * options.batch * options.accumulation + options.eval_rows,
        )
        self.train_rows, self.eval_rows = (
            rows[: -options.eval_rows],
            rows[-options.eval_rows :],
        )
        self.on_gpu = torch.cuda.is_available()
        self.half = common.half_precision(self.lab)
        set_seed(self.lab.SEED)

    def phase(self, name: str, began: list[float]) -> None:
        """Add to a phase the seconds since `began`."""
        if self.on_gpu:
            torch.cuda.synchronize()
        for unit, seconds in zip(("seconds", "CPU seconds"), clock(began)):
            self.phases[f"{name}, {unit}"] = (
                self.phases.get(f"{name}, {unit}", 0.0) + seconds
            )

    def hyperparameters(self) -> dict:
        """What the other recipes' trainers are given alike."""
        precision = "fp16" if self.half == torch.float16 else "bf16"
        return dict(
            output_dir=self.folder,
            num_train_epochs=1,
            per_device_train_batch_size=self.options.batch,
            per_device_eval_batch_size=self.options.batch,
            gradient_accumulation_steps=self.options.accumulation,
            learning_rate=self.options.learning_rate,
            warmup_steps=int(0.05 * self.options.steps),
            lr_scheduler_type="cosine",
            seed=self.lab.SEED,
            save_strategy="no",
            report_to="none",
            use_cpu=not self.on_gpu,
            **{precision: True},
        )

    def train_and_evaluate(self, trainer) -> None:
        """Train, then evaluate once: a phase each."""
        for name, work in {
            "train": trainer.train,
            "evaluate": trainer.evaluate,
        }.items():
            began = now()
            work()
            self.phase(name, began)

    def result(self, model) -> dict[str, float]:
        """Rates, phases, peak memory; the perplexity of responses by one function,
        whatever trained the model."""
        peak = common.peak_memory()
        nll, tokens = self.lab.corpus_nll(
            model,
            self.lab.tokenizer,
            [self.lab.encode(row, self.lab.tokenizer) for row in self.eval_rows],
        )
        real = self.options.experiments * sum(
            map(self.lab.token_count, self.train_rows)
        )
        return {
            "real tokens per second": real / self.phases["train, seconds"],
            "real tokens per CPU second": real / self.phases["train, CPU seconds"],
            **self.phases,
            "peak memory, GB": peak,
            "validation perplexity": float(self.lab.perplexity(nll, tokens)),
            "products alone, real tokens per second": self.limit(model),
            "real tokens": real,
        }

    def limit(self, model) -> float:
        """Real tokens per second of a machine that does nothing but the matrix products
        of training, without padding.

        Two operations a weight forward and two for the gradient of its inputs; adapters
        take two more for their own.
        """
        from bitsandbytes.nn import Linear4bit

        layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
        encoded = [self.lab.encode(row, self.lab.tokenizer) for row in self.train_rows]
        tokens = sum(len(row["input_ids"]) for row in encoded)
        graded = (
            sum(label != -100 for row in encoded for label in row["labels"]) / tokens
        )
        weights = sum(layer.in_features * layer.out_features for layer in layers)
        weights += graded * model.get_output_embeddings().weight.numel()
        adapter = sum(
            weight.numel() for weight in model.parameters() if weight.requires_grad
        )
        rows = tokens // len(encoded) * self.options.batch

        # a product forward and one back for each layer, at the best of ten tries
        seconds = 0.0
        for (inputs, outputs), count in Counter(
            (layer.in_features, layer.out_features) for layer in layers
        ).items():
            x, weight = (
                torch.randn(size, dtype=model.dtype, device=model.device)
                for size in ((rows, inputs), (inputs, outputs))
            )
            tries = []
            for _ in range(10):
                began = time.perf_counter()
                x @ weight @ weight.T
                if self.on_gpu:
                    torch.cuda.synchronize()
                tries.append(time.perf_counter() - began)
            seconds += count * min(tries)
        rate = (
            4
            * rows
            * sum(layer.in_features * layer.out_features for layer in layers)
            / seconds
        )
        return rate / (4 * weights + 6 * adapter)


def load_4bit(run: Run, dtype):
    """The base in NF4 with double quantization, as the published notebook loads it."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    return AutoModelForCausalLM.from_pretrained(
        run.lab.MODEL_PATH,
        quantization_config=quantization,
        dtype=dtype,
        device_map={"": 0 if run.on_gpu else "cpu"},
    )


def lora(run: Run, dropout: float):
    """An adapter of the published layers and rank."""
    from peft import LoraConfig

    return LoraConfig(
        r=run.lab.LORA_RANK,
        lora_alpha=32,
        lora_dropout=dropout,
        target_modules=run.lab.LORA_TARGET_MODULES,
        bias="none",
        task_type="CAUSAL_LM",
    )


def published(run: Run):
    """One experiment of the published notebook; returns its trainer."""
    from datasets import Dataset
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    began, tokenizer = now(), run.lab.tokenizer
    model = get_peft_model(
        prepare_model_for_kbit_training(load_4bit(run, run.half)), lora(run, 0.05)
    )
    run.phase("load", began)

    def tokenised(rows: list[list[dict]]) -> Dataset:
        texts = [tokenizer.apply_chat_template(row, tokenize=False) for row in rows]
        padded = tokenizer(
            texts,
            add_special_tokens=False,
            padding="max_length",
            truncation=True,
            max_length=common.MAX_LENGTH,
        )
        return Dataset.from_dict(dict(padded))

    began = now()
    train_dataset, eval_dataset = tokenised(run.train_rows), tokenised(run.eval_rows)
    run.phase("tokenise", began)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**run.hyperparameters(), logging_steps=50),
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
    )
    run.train_and_evaluate(trainer)
    return trainer


def trl(run: Run, float32: bool = False):
    """One experiment with TRL, by half precision or not; returns its trainer."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    began = now()
    model = load_4bit(run, torch.float32 if float32 else run.half)
    run.phase("load", began)
    began = now()
    train_dataset, eval_dataset = (
        Dataset.from_list(
            [{"prompt": row[:-1], "completion": row[-1:]} for row in rows]
        )
        for rows in (run.train_rows, run.eval_rows)
    )
    arguments = (
        run.hyperparameters()
        | dict(completion_only_loss=True)
        | (dict(bf16=False) if float32 else {})
    )
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments),
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=run.lab.tokenizer,
        peft_config=lora(run, 0.0),
    )
    run.phase("tokenise", began)
    run.train_and_evaluate(trainer)
    return trainer


def notebook(run: Run, undo=None, **instead):
    """One experiment of this notebook, with a trick undone or other arguments for the
    Trainer; returns its trainer."""
    lab, options = run.lab, run.options
    from datasets import Dataset

    if not hasattr(lab, "base_model"):
        began = now()
        lab.base_model = lab.load_base_model(
            lab.MODEL_PATH, lab.tokenizer, lab.COMPUTE_DTYPE
        )
        run.phase("load", began)
        if undo:
            undo(lab)
        lab.train_dataset, lab.eval_dataset = (
            Dataset.from_list([{"messages": row} for row in rows])
            for rows in (run.train_rows, run.eval_rows)
        )
        arguments, trainer_class = lab.training_arguments, lab.ResponseTrainer

        def without_pauses(*given, **more):
            """The notebook's arguments, but without evaluations and checkpoints while
            training."""
            training_arguments = arguments(*given, **more)
            training_arguments.eval_strategy = training_arguments.save_strategy = "no"
            training_arguments.load_best_model_at_end = False
            vars(training_arguments).update(instead)
            return training_arguments

        class Timed(trainer_class):
            """The notebook's trainer, which tells when training begins and ends, and
            then evaluates once."""

            def train(self, *given, **more):
                run.phase("tokenise", run.began)
                began = now()
                super().train(*given, **more)
                run.phase("train", began)
                began = now()
                self.evaluate()
                run.phase("evaluate", began)
                self.state.best_global_step = self.state.global_step

        lab.training_arguments, lab.ResponseTrainer = without_pauses, Timed
    experiment = lab.Experiment(
        experiment_name="benchmark",
        learning_rate=options.learning_rate,
        batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        num_epochs=1,
        lora_rank=lab.LORA_RANK,
    )
    run.began = now()
    folder = pathlib.Path(run.folder)
    return lab.train_in_memory(setup_of(lab), experiment, folder)


def grade_all_positions(lab) -> None:
    """Logits of every position, of which those of the response are then graded."""

    def response_nll(model, batch):
        """Negative log-likelihood of each row's response, and its tokens."""
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
        ).logits
        labels = batch["labels"][:, 1:]
        nll = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().transpose(1, 2), labels, reduction="none"
        )
        return nll.sum(dim=1), (labels != -100).sum(dim=1)

    lab.response_nll = response_nll


def attend_fused(lab) -> None:
    """PyTorch's fused attention in training, too, on a CPU."""
    lab.base_model.set_attn_implementation("sdpa")


def mix_lengths(lab) -> None:
    """Rows in any order, so that short ones are padded to long ones."""
    lab.in_steps = lambda rows, rows_per_step: rows


def copy_to_float32(lab) -> None:
    """Embeddings, head and norms in float32."""
    lab.base_model = lab.peft.prepare_model_for_kbit_training(
        lab.base_model, use_gradient_checkpointing=False
    )


def recompute_activations(lab) -> None:
    """Activations computed anew in the backward pass (gradient checkpointing)."""
    lab.base_model.gradient_checkpointing_enable(dict(use_reentrant=False))


def unpack_each_time(lab) -> None:
    """4-bit weights unpacked in each forward and backward pass, on a CPU, too."""
    lab.plain_weights = contextlib.nullcontext


def recipe(experiment):
    """A function of the options that measures one recipe in this process."""

    def measured(options: argparse.Namespace) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(options, folder)
            trainers = [
                experiment(run) for _ in range(options.experiments)
            ]  # kept, as in the published notebook
            return run.result(trainers[-1].model)

    return measured


RECIPES = {
    "published": recipe(published),
    "trl": recipe(trl),
    "trl float32": recipe(partial(trl, float32=True)),
    "notebook": recipe(notebook),
}
ALONE = {
    "notebook": recipe(notebook),
    "logits of all positions": recipe(partial(notebook, undo=grade_all_positions)),
    "fused attention": recipe(partial(notebook, undo=attend_fused)),
    "weights unpacked each time": recipe(partial(notebook, undo=unpack_each_time)),
    "lengths mixed": recipe(partial(notebook, undo=mix_lengths)),
    "float32 copies": recipe(partial(notebook, undo=copy_to_float32)),
    "gradient checkpointing": recipe(partial(notebook, undo=recompute_activations)),
    "two workers load rows": recipe(partial(notebook, dataloader_num_workers=2)),
    "every step logged": recipe(partial(notebook, logging_steps=1)),
}


def profile(options: argparse.Namespace) -> None:
    """Print and write the operations that take most of the processor's time while the
    notebook trains."""
    with tempfile.TemporaryDirectory() as folder:
        run, profiler = Run(options, folder), torch.profiler.profile()
        train, run.lab.ResponseTrainer = (
            run.lab.ResponseTrainer.train,
            type("Profiled", (run.lab.ResponseTrainer,), {}),
        )

        def profiled(*given, **more):
            """The trainer's `train` under the profiler."""
            with profiler:
                return train(*given, **more)

        run.lab.ResponseTrainer.train = profiled
        notebook(run)
    operations = profiler.key_averages()
    unit = "self_device_time_total" if run.on_gpu else "self_cpu_time_total"
    times = {operation.key: getattr(operation, unit) for operation in operations}
    longest = sorted(times, key=times.get, reverse=True)[:12]
    shares = {name: times[name] / sum(times.values()) for name in longest}
    common.show(
        {
            "Share of the time of training": [
                {"operation": name, "share": share} for name, share in shares.items()
            ]
        }
    )
    if options.json:
        common.save(options.json, {"share of the time of training": shares})


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = common.arguments(__doc__)
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps")
    parser.add_argument("--batch", type=int, default=4, help="rows per forward pass")
    parser.add_argument(
        "--accumulation", type=int, default=2, help="forward passes per optimizer step"
    )
    parser.add_argument(
        "--eval-rows",
        type=int,
        default=16,
        help="rows of which the perplexity is taken",
    )
    parser.add_argument(
        "--experiments",
        type=int,
        default=1,
        help="experiments in a row in the same process",
    )
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument(
        "--alone",
        action="store_true",
        help="the notebook with one of its tricks undone at a time",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="the operations that the notebook spends its time on",
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    options = parse()
    if torch.cuda.is_available():
        del RECIPES["trl float32"]
    rates = ["real tokens per second", "real tokens per CPU second"]
    if options.profile:
        profile(options)
    else:
        common.run(options, ALONE if options.alone else RECIPES, "notebook", rates)
