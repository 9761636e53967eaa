"""Metrics on cases worked by hand, and the loss on a real architecture."""

import functools
import json
import math
import random
from itertools import islice

import datasets
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def tiny(notebook, sentencepiece_folder, tmp_path_factory) -> LlamaForCausalLM:
    """TinyLlama's architecture (grouped-query attention, untied head, 32,000 pieces) at small size, random weights."""
    notebook.tokenizer = notebook.load_tokenizer(sentencepiece_folder)
    notebook.RESULTS = tmp_path_factory.mktemp("measuring")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=2, bos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def pair(question: str, answer: str) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


ROWS = [
    pair("What is 2 + 3?", "2 + 3 = 5"),
    pair("Solve 2x + 5 = 15.", "2x = 15 - 5 = 10, so x = 10 / 2 = 5.\nAnswer: x = 5"),
]


def test_rouge_and_bleu_by_hand(notebook):
    def overlap(prediction: str, reference: str) -> dict:
        return notebook.TextOverlap().compute(predictions=[prediction], references=[reference])

    same = overlap("two x is ten so x is five", "two x is ten so x is five")
    assert same == pytest.approx({"rouge1": 1, "rouge2": 1, "rougeL": 1, "bleu": 100, "chrf": 100})
    # Shared words: the, area, is (3 of 4 and 3 of 6). Shared pairs: "the area", "area is" (2 of 3 and 2 of 5).
    part = overlap("the area is twelve", "the area is 3 * 4 square")
    assert part["rouge1"] == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))
    assert part["rouge2"] == pytest.approx(2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    # In another order all words are shared, but the longest common sequence is one word long.
    swapped = overlap("b a", "a b")
    assert (swapped["rouge1"], swapped["rougeL"]) == pytest.approx((1, 0.5))
    # BLEU: 4 of 4, 3 of 3, 2 of 2, 1 of 1 runs are right, and the answer has 4 of 8 words: exp(1 - 8 / 4).
    assert overlap("a b c d", "a b c d e f g h")["bleu"] == pytest.approx(100 * math.exp(-1))


def test_bleu_is_a_corpus_measure_and_rouge_a_mean(notebook):
    both = notebook.TextOverlap().compute(predictions=["a b c d", ""], references=["a b c d", "e f g h"])
    assert both["rougeL"] == pytest.approx(0.5)
    assert both["bleu"] == pytest.approx(100 * math.exp(1 - 8 / 4))


def test_the_short_cut_gives_the_loss_that_the_model_itself_computes(notebook, tiny):
    rows = [notebook.encode(row, notebook.tokenizer) for row in ROWS]
    batch = notebook.DataCollatorForSeq2Seq(notebook.tokenizer, return_tensors="pt")(rows)
    nll, tokens = notebook.response_nll(tiny, batch)
    expected = tiny(**batch).loss  # mean over graded tokens
    assert (nll.sum() / tokens.sum()).item() == pytest.approx(expected.item(), rel=1e-5)
    assert tokens.tolist() == [sum(label != -100 for label in row["labels"]) for row in rows]


def test_corpus_nll_does_not_depend_on_batches_order_or_mode(notebook, tiny):
    rows = notebook.encode_responses(ROWS * 3)
    one_by_one = notebook.corpus_nll(tiny, rows, batch_size=1)
    tiny.train()
    together = notebook.corpus_nll(tiny, rows[::-1], batch_size=4)
    assert tiny.training, "evaluation must leave the mode as it was"
    tiny.eval()
    assert together[1].tolist() == one_by_one[1].tolist()[::-1]
    assert together[0] == pytest.approx(one_by_one[0][::-1], rel=1e-5)


def test_perplexity_sums_over_the_corpus(notebook, tiny):
    """Not the mean of the rows' perplexities, and not the exponential of the mean of their losses."""
    notebook.MAX_NEW_TOKENS = 4
    measured = notebook.evaluate_model(tiny, datasets.Dataset.from_dict({"messages": ROWS}))
    nll = tokens = 0
    for row in notebook.encode_responses(ROWS):
        input_ids = torch.tensor([row["input_ids"]])
        log_probabilities = tiny(input_ids).logits[0, :-1].log_softmax(-1)
        for position, label in enumerate(row["labels"][1:]):
            if label != -100:
                nll -= log_probabilities[position, label].item()
                tokens += 1
    assert measured["tokens"].sum() == tokens
    table = notebook.compare_models({"tiny": measured}).set_index("metric")
    assert table["value"]["perplexity"] == pytest.approx(math.exp(nll / tokens), rel=1e-4)


def test_answers_in_a_batch_are_those_given_alone_and_in_order(notebook, tiny):
    notebook.MAX_NEW_TOKENS = 12
    prompts = [
        notebook.render(row[:1]) for row in [*ROWS, pair("Why is the sum of two odd numbers even? Explain.", "")]
    ]
    together = notebook.generate_answers(tiny, prompts)
    alone = [notebook.generate_answers(tiny, [prompt])[0] for prompt in prompts]
    assert together == alone


def test_an_answer_that_ends_by_itself_is_told_from_one_that_is_cut(notebook, tiny):
    notebook.MAX_NEW_TOKENS = 6
    prompt = notebook.render(ROWS[0][:1])
    assert not notebook.generate_answers(tiny, [prompt])[0]["ended"]
    first = (
        tiny(**notebook.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")).logits[0, -1].argmax().item()
    )
    usual, tiny.generation_config.eos_token_id = tiny.generation_config.eos_token_id, [2, first]
    try:
        assert notebook.generate_answers(tiny, [prompt])[0] == {"answer": "", "answer_tokens": 1, "ended": True} | {
            "answer": notebook.tokenizer.decode([first]).strip()
        }
    finally:
        tiny.generation_config.eos_token_id = usual


def test_rows_that_end_early_leave_the_batch_and_the_others_go_on(notebook, tiny):
    """Twenty-two tokens are more than one round; the answers must be those of transformers' own loop."""
    notebook.MAX_NEW_TOKENS = 22
    prompts = [notebook.render(row[:1]) for row in ROWS] + [
        notebook.render(pair("Count: 1, 2, 3, 4, 5, 6, 7?", "")[:1])
    ]

    def plain(prompt: str) -> list[int]:
        encoded = notebook.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        written = tiny.generate(**encoded, max_new_tokens=22, do_sample=False)[0]
        return written[encoded["input_ids"].shape[1] :].tolist()

    usual = tiny.generation_config.eos_token_id
    tiny.generation_config.eos_token_id = [2, plain(prompts[0])[4]]  # so that the first one ends early
    try:
        for prompt, got in zip(prompts, notebook.generate_answers(tiny, prompts)):
            tokens = plain(prompt)
            assert got["answer"] == notebook.tokenizer.decode(tokens, skip_special_tokens=True).strip()
            assert got["answer_tokens"] == len(tokens) and got["ended"] == (len(tokens) < 22)
    finally:
        tiny.generation_config.eos_token_id = usual


def test_what_was_answered_once_is_not_answered_again(notebook, tiny, monkeypatch):
    notebook.MAX_NEW_TOKENS = 5
    rows = datasets.Dataset.from_dict({"messages": ROWS})
    first = notebook.evaluate_model(tiny, rows)
    with open(notebook.RESULTS / "answers.jsonl", "a") as file:
        file.write('\n["half a li')  # the kernel was killed while it wrote
    computed = []
    generate = notebook.generate_answers

    @functools.wraps(generate)  # its code is a part of the key
    def counted(*args):
        computed.append(len(args[1]))
        return generate(*args)

    monkeypatch.setattr(notebook, "generate_answers", counted)
    pd.testing.assert_frame_equal(notebook.evaluate_model(tiny, rows), first)
    assert computed == []
    notebook.evaluate_model(tiny, rows, calculator=True)
    more = datasets.Dataset.from_dict({"messages": [*ROWS, pair("What is 1 + 1?", "2")]})
    notebook.evaluate_model(tiny, more)
    assert computed == [2, 1]
    with torch.no_grad():
        tiny.lm_head.weight[0, 0] += 1  # another model
        notebook.evaluate_model(tiny, rows)
        tiny.lm_head.weight[0, 0] -= 1
    notebook.MAX_NEW_TOKENS = 6  # another setting
    notebook.evaluate_model(tiny, rows)
    assert computed == [2, 1, 2, 2]


def test_a_dialogue_is_judged_by_its_last_answer_and_may_lack_one(notebook, tiny):
    notebook.MAX_NEW_TOKENS = 4
    dialogue = [*ROWS[0], *ROWS[1]]
    rows = notebook.evaluate_model(
        tiny, datasets.Dataset.from_list([{"messages": dialogue}, {"messages": dialogue[:3]}])
    )
    assert rows["question"].tolist() == [dialogue[2]["content"]] * 2
    assert rows["reference"].tolist() == [dialogue[3]["content"], ""]
    labels = [row["labels"] for row in notebook.encode_responses([dialogue])]
    assert rows["tokens"].tolist() == [sum(x != -100 for row in labels for x in row), sum(x != -100 for x in labels[0])]
    assert rows["right"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("times", "said"),
    [(3, "the sum of two odd numbers is even, so "), (1, "one two three four five six seven eight " * 2), (0, "")],
)
def test_repeating_itself_is_eight_words_three_times(notebook, times, said):
    assert notebook.repeats_itself(said * max(times, 1)) == (times == 3)


PROBLEMS = 60


@pytest.fixture(scope="module")
def answered(notebook) -> dict[str, pd.DataFrame]:
    """Three stand-ins that answer the notebook's own problems: never rightly, half of them, always."""
    problems = [row for row in islice(notebook.make_problems(seed=8), 200) if row["topic"] in notebook.COMPUTABLE][
        :PROBLEMS
    ]
    rows = pd.DataFrame(problems).rename(columns={"answer": "reference"})
    rows = rows.assign(nll=10.0, tokens=20, answer_tokens=20, ended=True)
    answers = {
        "never": ["I do not know."] * PROBLEMS,
        "half": [text if number % 2 else "It is 123456789." for number, text in enumerate(rows["reference"])],
        "always": rows["reference"].tolist(),
    }
    return {name: notebook.measure_texts(rows.assign(answer=texts)) for name, texts in answers.items()}


def table(notebook, models: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return notebook.compare_models(models).set_index(["metric", "model"])


def test_a_model_compared_with_itself_does_not_differ(notebook, answered):
    compared = table(notebook, {"half": answered["half"], "again": answered["half"]})
    assert set(compared.index.get_level_values("metric")) >= {
        "accuracy",
        "perplexity",
        "rougeL",
        "bleu",
        "chrf",
        "declined",
    }
    assert (compared["difference"] == 0).all()
    assert compared["p"].isna().all(), "no difference, no p-value"
    compared = notebook.compare_models({"half": answered["half"], "again": answered["half"]})
    assert notebook.verdict(compared, "again").startswith("No improvement: ")


def test_intervals_hold_the_value_and_shrink_with_more_rows(notebook, answered):
    few = table(notebook, {"half": answered["half"].head(20)}).loc[("accuracy", "half")]
    many = table(notebook, {"half": answered["half"]}).loc[("accuracy", "half")]
    assert few["low"] < few["value"] == 0.5 < few["high"]
    assert few["low"] < many["low"] < many["high"] < few["high"]
    # The normal approximation: 0.5 +- 1.96 * sqrt(0.5 * 0.5 / 60).
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 * math.sqrt(0.25 / PROBLEMS), rel=0.15)


@pytest.mark.parametrize("references", ["", "Think about it."])
def test_where_nothing_can_be_judged_there_is_no_share_and_no_p_value(notebook, answered, references):
    """A run whose references hold no final answer, down to two rows."""
    models = {
        name: notebook.measure_texts(
            answered[name]
            .head(2)[["question", "answer", "nll", "tokens", "answer_tokens", "ended"]]
            .assign(reference=references or ["Because.", "It is clear."])
        )
        for name in ("never", "always")
    }
    compared = notebook.compare_models(models)
    accuracy = compared[compared["metric"] == "accuracy"]
    assert accuracy["counted"].eq(0).all() and accuracy[["value", "low", "high", "p"]].isna().all(axis=None)
    shown = notebook.show_comparison(compared).to_string()
    assert "nan" not in shown and "–" in shown
    assert notebook.verdict(compared, "always").startswith("No verdict")
    records = json.loads(compared.to_json(orient="records"))
    assert "NaN" not in json.dumps(records, allow_nan=False)


@pytest.mark.parametrize(
    ("base", "tuned", "begins"),
    [
        ("never", "half", "Fine-tuning helped: "),
        ("half", "always", "Fine-tuning helped: "),
        ("always", "half", "Fine-tuning did harm: "),
    ],
)
def test_the_verdict_follows_the_right_answers(notebook, answered, base, tuned, begins):
    compared = notebook.compare_models({base: answered[base], tuned: answered[tuned]})
    assert notebook.verdict(compared, tuned).startswith(begins)
    better = table(notebook, {base: answered[base], tuned: answered[tuned]}).loc[("bleu", tuned)]
    assert better["p"] < 0.05 and better["low"] < better["value"] < better["high"] or tuned == "always"


def test_shuffled_references_bring_accuracy_to_chance_and_no_improvement(notebook, answered):
    shuffled = random.Random(0).sample(answered["always"]["reference"].tolist(), PROBLEMS)
    models = {
        name: notebook.measure_texts(answered[name][["question", "answer", "nll", "tokens", "answer_tokens", "ended"]]
                                     .assign(reference=shuffled))
        for name in ("never", "always")
    }  # fmt: skip
    assert models["always"]["right"].mean() < 0.1
    assert notebook.verdict(notebook.compare_models(models), "always").startswith("No improvement: ")


def test_rows_whose_reference_cannot_be_read_are_out_for_every_model(notebook):
    references = ["Answer: 4", "A prime number has two divisors.", "Answer: 5"]
    for answers in (["4", "4", "4"], ["", "no idea", "Answer: 5"]):
        assert [verdict is None for verdict in notebook.judge_answers(references, answers)] == [False, True, False]


def test_side_by_side_shows_markup_as_text(notebook):
    page = notebook.side_by_side({"question": ["1 < 2?"], "base": ["<script>alert(1)</script>\n$x<3$"]}).data
    assert "<script>" not in page and "&lt;script&gt;" in page
