"""Metrics on cases worked by hand, and the loss on a real architecture."""

import functools
import json
import math
import random
from itertools import islice
from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def tokenizer(notebook, sentencepiece_folder):
    return notebook.load_tokenizer(sentencepiece_folder)


@pytest.fixture(scope="module")
def tiny(tokenizer) -> LlamaForCausalLM:
    """TinyLlama's architecture at small size, random weights.

    It has grouped-query attention, an untied head and 32,000 pieces.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=2,
        bos_token_id=1,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def pair(question: str, answer: str) -> list[dict]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]


ROWS = [
    pair("What is 2 + 3?", "2 + 3 = 5"),
    pair("Solve 2x + 5 = 15.", "2x = 15 - 5 = 10, so x = 10 / 2 = 5.\nAnswer: x = 5"),
]


@pytest.fixture(scope="module")
def evaluate(notebook, tokenizer, tmp_path_factory):
    """`evaluate_dialogues` on a list of dialogues, with a cache of its own."""
    cache = tmp_path_factory.mktemp("measuring") / "answers"

    def evaluate(model, dialogues: list, max_new_tokens: int = 4, **more):
        dataset = datasets.Dataset.from_dict({"messages": dialogues})
        more |= dict(tokenizer=tokenizer, cache=cache, max_new_tokens=max_new_tokens)
        return notebook.evaluate_dialogues(model, dataset, **more)

    return evaluate


def overlap(notebook, answers: list[str], references: list[str]) -> dict:
    """The metrics of all rows, as the tables show them."""
    texts = pd.DataFrame({"answer": answers, "reference": references})
    rows = texts.join(notebook.rouge_rows(answers, references))
    everything = np.arange(len(rows))[None]
    names = ("rouge1", "rouge2", "rougeL", "bleu")
    return {name: notebook.metric_of(rows, name, everything)[0] for name in names}


def test_rouge_and_bleu_by_hand(notebook):
    def scores(answer: str, reference: str) -> dict:
        return overlap(notebook, [answer], [reference])

    same = scores("two x is ten so x is five", "two x is ten so x is five")
    assert same == pytest.approx({"rouge1": 1, "rouge2": 1, "rougeL": 1, "bleu": 100})
    # Shared words: the, area, is (3 of 4 and 3 of 6).
    # Shared pairs: "the area", "area is" (2 of 3 and 2 of 5).
    part = scores("the area is twelve", "the area is 3 * 4 square")
    assert part["rouge1"] == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))
    assert part["rouge2"] == pytest.approx(2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    # In another order all words are shared; the longest common sequence is one word.
    swapped = scores("b a", "a b")
    assert (swapped["rouge1"], swapped["rougeL"]) == pytest.approx((1, 0.5))
    # BLEU: all runs are right, and the answer has 4 of 8 words: exp(1 - 8 / 4).
    assert scores("a b c d", "a b c d e f g h")["bleu"] == pytest.approx(
        100 * math.exp(-1)
    )


def test_bleu_is_a_corpus_measure_and_rouge_a_mean(notebook):
    both = overlap(notebook, ["a b c d", ""], ["a b c d", "e f g h"])
    assert both["rougeL"] == pytest.approx(0.5)
    assert both["bleu"] == pytest.approx(100 * math.exp(1 - 8 / 4))


def test_the_short_cut_gives_the_loss_that_the_model_itself_computes(
    notebook, tiny, tokenizer
):
    rows = [notebook.encode(row, tokenizer) for row in ROWS]
    batch = notebook.DataCollatorForSeq2Seq(tokenizer)(rows)
    nll, tokens = notebook.response_nll(tiny, batch)
    expected = tiny(**batch).loss  # mean over graded tokens
    assert (nll.sum() / tokens.sum()).item() == pytest.approx(expected.item(), rel=1e-5)
    assert tokens.tolist() == [
        sum(label != -100 for label in row["labels"]) for row in rows
    ]


def test_corpus_nll_does_not_depend_on_batches_order_or_mode(notebook, tiny, tokenizer):
    rows = notebook.encode_responses(ROWS * 3, tokenizer)
    one_by_one = notebook.corpus_nll(tiny, tokenizer, rows, batch_size=1)
    tiny.train()
    together = notebook.corpus_nll(tiny, tokenizer, rows[::-1], batch_size=4)
    assert together[1].tolist() == one_by_one[1].tolist()[::-1]
    assert together[0] == pytest.approx(one_by_one[0][::-1], rel=1e-5)


def test_perplexity_sums_over_the_corpus(notebook, tiny, tokenizer, evaluate):
    """Not a mean of the rows' perplexities, nor the exponential of their mean loss."""
    measured = evaluate(tiny, ROWS)
    nll = tokens = 0
    for row in notebook.encode_responses(ROWS, tokenizer):
        input_ids = torch.tensor([row["input_ids"]])
        log_probabilities = tiny(input_ids).logits[0, :-1].log_softmax(-1)
        for position, label in enumerate(row["labels"][1:]):
            if label != -100:
                nll -= log_probabilities[position, label].item()
                tokens += 1
    assert measured["tokens"].sum() == tokens
    table = notebook.compare_models({"tiny": measured}).set_index("metric")
    assert table["value"]["perplexity"] == pytest.approx(
        math.exp(nll / tokens), rel=1e-4
    )


def test_answers_in_a_batch_are_those_given_alone_and_in_order(
    notebook, tiny, tokenizer
):
    why = pair("Why is the sum of two odd numbers even? Explain.", "")
    prompts = [notebook.render(row[:1], tokenizer) for row in [*ROWS, why]]

    def answers(*prompts: str) -> list[dict]:
        return notebook.generate_answers(tiny, tokenizer, list(prompts), 12)

    assert answers(*prompts) == sum(map(answers, prompts), [])


def written_alone(tiny, tokenizer, prompt: str, tokens: int) -> list[int]:
    """The answer as transformers' own loop writes it."""
    encoded = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    written = tiny.generate(**encoded, max_new_tokens=tokens, do_sample=False)[0]
    return written[encoded["input_ids"].shape[1] :].tolist()


def test_an_answer_that_ends_by_itself_is_told_from_one_that_is_cut(
    notebook, tiny, tokenizer, monkeypatch
):
    prompt = notebook.render(ROWS[0][:1], tokenizer)

    def answer() -> dict:
        return notebook.generate_answers(tiny, tokenizer, [prompt], 6)[0]

    assert not answer()["ended"] and answer()["answer_tokens"] == 6
    (first,) = written_alone(tiny, tokenizer, prompt, 1)
    monkeypatch.setattr(tiny.generation_config, "eos_token_id", [2, first])
    text = tokenizer.decode([first]).strip()
    assert answer() == {"answer": text, "answer_tokens": 1, "ended": True}


def test_answers_of_a_batch_end_each_at_its_own_place(
    notebook, tiny, tokenizer, monkeypatch
):
    """The answers must be those of transformers' own loop."""
    asked = [*ROWS, pair("Count: 1, 2, 3, 4, 5, 6, 7?", "")]
    prompts = [notebook.render(row[:1], tokenizer) for row in asked]
    early = written_alone(tiny, tokenizer, prompts[0], 5)[-1]
    monkeypatch.setattr(tiny.generation_config, "eos_token_id", [2, early])
    answers = notebook.generate_answers(tiny, tokenizer, prompts, 22)
    for prompt, answer in zip(prompts, answers):
        tokens = written_alone(tiny, tokenizer, prompt, 22)
        text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
        ended = len(tokens) < 22
        assert answer == {"answer": text, "answer_tokens": len(tokens), "ended": ended}


def test_an_answer_in_a_loop_is_cut_and_has_not_ended(notebook, tiny, tokenizer):
    """A model that writes the same token for ever, beside one that it does not say."""
    prompts = [notebook.render(row[:1], tokenizer) for row in ROWS]
    (word,) = tokenizer.encode("five", add_special_tokens=False)[-1:]

    class Monotonous(torch.nn.Module):
        """Says one word only."""

        device, dtype = torch.device("cpu"), torch.float32
        generation_config = tiny.generation_config

        def generate(self, input_ids, max_new_tokens, **_):
            tokens = torch.nn.functional.pad(input_ids, (0, max_new_tokens), value=word)
            return SimpleNamespace(sequences=tokens, past_key_values=DynamicCache())

    for answer in notebook.generate_answers(Monotonous(), tokenizer, prompts, 200):
        assert not answer["ended"] and answer["answer_tokens"] < 40


def test_what_was_answered_once_is_not_answered_again(
    notebook, tiny, monkeypatch, evaluate
):
    first = evaluate(tiny, ROWS, 5)
    computed = []
    generate = notebook.generate_answers

    @functools.wraps(generate)  # its cell is a part of the key
    def counted(*args):
        computed.append(len(args[2]))
        return generate(*args)

    monkeypatch.setattr(notebook, "generate_answers", counted)
    pd.testing.assert_frame_equal(evaluate(tiny, ROWS, 5), first)
    assert computed == []
    evaluate(tiny, ROWS, 5, calculator=True)
    evaluate(tiny, [*ROWS, pair("What is 1 + 1?", "2")], 5)
    assert computed == [2, 3]
    with torch.no_grad():
        tiny.lm_head.weight[0, 0] += 1  # another model
        evaluate(tiny, ROWS, 5)
        tiny.lm_head.weight[0, 0] -= 1
    evaluate(tiny, ROWS, 6)  # another setting
    assert computed == [2, 3, 2, 2]


def test_a_dialogue_is_judged_by_its_last_answer_and_may_lack_one(
    notebook, tiny, tokenizer, evaluate
):
    dialogue = [*ROWS[0], *ROWS[1]]
    rows = evaluate(tiny, [dialogue, dialogue[:3]], perplexity=False)
    assert rows["question"].tolist() == [dialogue[2]["content"]] * 2
    assert rows["reference"].tolist() == [dialogue[3]["content"], ""]
    assert rows["right"].isna().tolist() == [False, True]
    (encoded,) = notebook.encode_responses([dialogue], tokenizer)
    graded = sum(label != -100 for label in encoded["labels"])
    assert evaluate(tiny, [dialogue])["tokens"].tolist() == [graded]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (3, "the sum of two odd numbers is even, so "),
        (1, "one two three four five six seven eight " * 2),
        (0, ""),
    ],
)
def test_repeating_itself_is_eight_words_three_times(notebook, times, said):
    assert notebook.repeats_itself(said * max(times, 1)) == (times == 3)


PROBLEMS = 60


@pytest.fixture(scope="module")
def answered(notebook) -> dict[str, pd.DataFrame]:
    """Three stand-ins that are right never, half the time and always."""
    problems = [
        row
        for row in islice(notebook.make_problems(seed=8), 200)
        if row["topic"] in notebook.COMPUTABLE
    ][:PROBLEMS]
    rows = pd.DataFrame(problems).rename(columns={"answer": "reference"})
    rows = rows.assign(nll=10.0, tokens=20, ended=True)
    answers = {
        "never": ["I do not know."] * PROBLEMS,
        "half": [
            text if number % 2 else "It is 123456789."
            for number, text in enumerate(rows["reference"])
        ],
        "always": rows["reference"].tolist(),
    }
    return {
        name: notebook.measure_texts(rows.assign(answer=texts))
        for name, texts in answers.items()
    }


def table(notebook, models: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return notebook.compare_models(models).set_index(["metric", "model"])


def test_a_model_compared_with_itself_does_not_differ(notebook, answered):
    compared = table(notebook, {"half": answered["half"], "again": answered["half"]})
    assert set(compared.index.get_level_values("metric")) >= {
        "accuracy",
        "perplexity",
        "rougeL",
        "bleu",
        "declined",
    }
    assert (compared["difference"] == 0).all()
    assert compared["p"].isna().all(), "no difference, no p-value"
    compared = notebook.compare_models(
        {"half": answered["half"], "again": answered["half"]}
    )
    assert notebook.verdict(compared, "again").startswith("No improvement: ")


def test_intervals_hold_the_value_and_shrink_with_more_rows(notebook, answered):
    few = table(notebook, {"half": answered["half"].head(20)}).loc[("accuracy", "half")]
    many = table(notebook, {"half": answered["half"]}).loc[("accuracy", "half")]
    assert few["low"] < few["value"] == 0.5 < few["high"]
    assert few["low"] < many["low"] < many["high"] < few["high"]
    # The normal approximation: 0.5 +- 1.96 * sqrt(0.5 * 0.5 / 60).
    assert many["high"] - many["low"] == pytest.approx(
        2 * 1.96 * math.sqrt(0.25 / PROBLEMS), rel=0.15
    )


@pytest.mark.parametrize("references", ["", "Think about it."])
def test_where_nothing_can_be_judged_there_is_no_share_and_no_p_value(
    notebook, answered, references
):
    """A run whose references hold no final answer, down to two rows."""
    models = {
        name: notebook.measure_texts(
            answered[name]
            .head(2)[["question", "answer", "nll", "tokens", "ended"]]
            .assign(reference=references or ["Because.", "It is clear."])
        )
        for name in ("never", "always")
    }
    compared = notebook.compare_models(models)
    accuracy = compared[compared["metric"] == "accuracy"]
    assert accuracy["counted"].eq(0).all() and accuracy[
        ["value", "low", "high", "p"]
    ].isna().all(axis=None)
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
    better = table(notebook, {base: answered[base], tuned: answered[tuned]}).loc[
        ("bleu", tuned)
    ]
    assert (
        better["p"] < 0.05
        and better["low"] < better["value"] < better["high"]
        or tuned == "always"
    )


def test_shuffled_references_bring_accuracy_to_chance_and_no_improvement(
    notebook, answered
):
    shuffled = random.Random(0).sample(
        answered["always"]["reference"].tolist(), PROBLEMS
    )
    models = {
        name: notebook.measure_texts(
            answered[name][["question", "answer", "nll", "tokens", "ended"]].assign(
                reference=shuffled
            )
        )
        for name in ("never", "always")
    }
    assert models["always"]["right"].mean() < 0.1
    assert notebook.verdict(notebook.compare_models(models), "always").startswith(
        "No improvement: "
    )


def test_rows_whose_reference_cannot_be_read_are_out_for_every_model(notebook):
    references = ["Answer: 4", "A prime number has two divisors.", "Answer: 5"]
    for answers in (["4", "4", "4"], ["", "no idea", "Answer: 5"]):
        assert [
            verdict is None for verdict in notebook.judge_answers(references, answers)
        ] == [False, True, False]


def test_side_by_side_shows_markup_as_text(notebook):
    page = notebook.side_by_side(
        {"question": ["1 < 2?"], "base": ["<script>alert(1)</script>\n$x<3$"]}
    ).data
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_where_some_questions_have_an_answer_these_are_judged(notebook):
    rows = pd.DataFrame(
        {
            "question": ["2 + 2?", "3 + 3?", "Why is it so?"],
            "reference": ["Answer: 4", "Answer: 6", ""],
            "answer": ["Answer: 4", "Answer: 7", "Because."],
            "ended": True,
            "nll": 0.0,
            "tokens": 0,
        }
    )
    table = notebook.compare_models({"base": notebook.measure_texts(rows)}, samples=20)
    table = table.set_index("metric")
    assert (table.loc["accuracy", "value"], table.loc["accuracy", "counted"]) == (
        0.5,
        2,
    )
    assert table.loc["declined", "counted"] == 3 and "bleu" not in table.index
