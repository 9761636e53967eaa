"""Metrics on cases worked by hand, and the loss on a real architecture."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def tiny(notebook, sentencepiece_folder) -> LlamaForCausalLM:
    """TinyLlama's architecture (grouped-query attention, untied head, 32,000 pieces) at small size, random weights."""
    notebook.tokenizer = notebook.load_tokenizer(sentencepiece_folder)
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
    assert same == pytest.approx({"rouge1": 1, "rouge2": 1, "rougeL": 1, "bleu": 100})
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
    assert (nll / tokens).item() == pytest.approx(expected.item(), rel=1e-5)
    assert tokens.item() == sum(label != -100 for row in rows for label in row["labels"])


def test_corpus_nll_does_not_depend_on_batches_order_or_mode(notebook, tiny):
    rows = notebook.encode_responses(ROWS * 3)
    one_by_one = notebook.corpus_nll(tiny, rows, batch_size=1)
    tiny.train()
    together = notebook.corpus_nll(tiny, rows[::-1], batch_size=4)
    assert tiny.training, "evaluation must leave the mode as it was"
    tiny.eval()
    assert together[1] == one_by_one[1]
    assert together[0] == pytest.approx(one_by_one[0], rel=1e-5)


def test_perplexity_sums_over_the_corpus(notebook, tiny):
    """Not the mean of the rows' perplexities, and not the exponential of the mean of their losses."""
    import datasets

    rows = datasets.Dataset.from_dict({"messages": ROWS})
    notebook.MAX_NEW_TOKENS = 4
    metrics = notebook.evaluate_model(tiny, rows).metrics
    nll = tokens = 0
    for row in notebook.encode_responses(ROWS):
        input_ids = torch.tensor([row["input_ids"]])
        log_probabilities = tiny(input_ids).logits[0, :-1].log_softmax(-1)
        for position, label in enumerate(row["labels"][1:]):
            if label != -100:
                nll -= log_probabilities[position, label].item()
                tokens += 1
    assert metrics["tokens"] == tokens
    assert metrics["perplexity"] == pytest.approx(math.exp(nll / tokens), rel=1e-4)


def test_answers_in_a_batch_are_those_given_alone_and_in_order(notebook, tiny):
    notebook.MAX_NEW_TOKENS = 12
    prompts = [
        notebook.render(row[:1]) for row in [*ROWS, pair("Why is the sum of two odd numbers even? Explain.", "")]
    ]
    together, _ = notebook.generate_answers(tiny, prompts)
    alone = [notebook.generate_answers(tiny, [prompt])[0][0] for prompt in prompts]
    assert together == alone


def test_an_answer_that_ends_by_itself_is_told_from_one_that_is_cut(notebook, tiny):
    notebook.MAX_NEW_TOKENS = 6
    prompt = notebook.render(ROWS[0][:1])
    assert notebook.generate_answers(tiny, [prompt])[1] == [False]
    first = (
        tiny(**notebook.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")).logits[0, -1].argmax().item()
    )
    usual, tiny.generation_config.eos_token_id = tiny.generation_config.eos_token_id, [2, first]
    try:
        assert notebook.generate_answers(tiny, [prompt])[1] == [True]
    finally:
        tiny.generation_config.eos_token_id = usual


def results(**changes: float) -> dict:
    base = {"perplexity": 4.0, "rougeL": 0.2, "bleu": 5.0, "ended": 0.1}
    return {"base": base, "Exp1": base | changes}


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"perplexity": 2.0, "rougeL": 0.6, "bleu": 40.0}, "Fine-tuning helped: "),
        ({"perplexity": 2.0, "rougeL": 0.1, "bleu": 40.0}, "Fine-tuning helped in part: "),
        ({}, "Fine-tuning did not help: "),
        ({"perplexity": 9.0, "rougeL": 0.1, "bleu": 1.0}, "Fine-tuning did not help: "),
    ],
)
def test_the_verdict_follows_the_numbers(notebook, changes, begins):
    assert notebook.verdict(results(**changes), "Exp1").startswith(begins)


def test_side_by_side_shows_markup_as_text(notebook):
    page = notebook.side_by_side(["1 < 2?"], {"base": ["<script>alert(1)</script>\n$x<3$"]}).data
    assert "<script>" not in page and "&lt;script&gt;" in page
