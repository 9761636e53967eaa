"""What the model reads and what it is graded on, with two kinds of tokenizer.

SmolLM2's is byte-level, TinyLlama's of SentencePiece's kind.
"""

import pytest

SINGLE = [
    {"role": "user", "content": "What is 1/2 + 1/3?"},
    {"role": "assistant", "content": "3/6 + 2/6 = 5/6\nAnswer: 5/6"},
]
DIALOGUE = [
    {"role": "user", "content": "Solve $2x = 10$."},
    {"role": "assistant", "content": "$x = 5$"},
    {"role": "user", "content": "Why?"},
    {
        "role": "assistant",
        "content": "Divide both sides by 2: 10 / 2 = 5 – that is all.",
    },
]


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece"])
def tokenizer(request, notebook):
    folder = {"byte-level": "smollm2_folder", "sentencepiece": "sentencepiece_folder"}[
        request.param
    ]
    return notebook.load_tokenizer(request.getfixturevalue(folder))


def spans(labels: list[int]) -> list[list[int]]:
    """The unbroken runs of graded tokens."""
    runs = [[]]
    for label in labels:
        if label == -100:
            runs.append([])
        else:
            runs[-1].append(label)
    return [run for run in runs if run]


@pytest.mark.parametrize("messages", [SINGLE, DIALOGUE], ids=["single", "dialogue"])
def test_exactly_the_responses_and_their_end_marks_are_graded(
    notebook, tokenizer, messages
):
    encoded = notebook.encode(messages, tokenizer)
    graded = [tokenizer.decode(run) for run in spans(encoded["labels"])]
    assert graded == [
        turn["content"] + tokenizer.eos_token
        for turn in messages
        if turn["role"] == "assistant"
    ]
    assert all(
        label in (-100, token)
        for label, token in zip(encoded["labels"], encoded["input_ids"])
    )


@pytest.mark.parametrize("messages", [SINGLE, DIALOGUE], ids=["single", "dialogue"])
def test_the_chats_prompt_is_token_for_token_what_training_saw(
    notebook, tokenizer, messages
):
    trained = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    for turn in range(1, len(messages), 2):
        prompt = tokenizer.apply_chat_template(
            messages[:turn], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        assert trained[: len(prompt)] == prompt
        text = notebook.render(messages[:turn], tokenizer)
        rendered = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert rendered == prompt


@pytest.mark.parametrize("messages", [SINGLE, DIALOGUE], ids=["single", "dialogue"])
def test_perplexity_grades_the_tokens_that_training_grades(
    notebook, tokenizer, messages
):
    in_training = spans(notebook.encode(messages, tokenizer)["labels"])
    (row,) = notebook.encode_responses([messages], tokenizer)
    assert spans(row["labels"]) == in_training[-1:]


def test_the_bases_own_template_is_graded_on_the_same_text(notebook, tokenizer):
    theirs = (
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}</s>\n"
        "{% endfor %}<|assistant|>\n"
    )
    (row,) = notebook.encode_responses([DIALOGUE], tokenizer, theirs)
    graded = tokenizer.decode(spans(row["labels"])[0])
    assert graded.strip() == DIALOGUE[-1]["content"] + tokenizer.eos_token
    assert "<|assistant|>" in tokenizer.decode(row["input_ids"])


def test_the_template_reads_as_the_house_says(notebook, tokenizer):
    text = tokenizer.apply_chat_template(DIALOGUE, tokenize=False).removeprefix(
        tokenizer.bos_token or ""
    )
    end = tokenizer.eos_token
    assert text == (
        f"### Instruction:\nSolve $2x = 10$.\n\n### Response:\n$x = 5${end}\n\n"
        "### Instruction:\nWhy?\n\n### Response:\n"
        f"Divide both sides by 2: 10 / 2 = 5 – that is all.{end}"
    )


def test_token_count_is_the_length_of_what_is_trained_on(notebook, tokenizer):
    encoded = notebook.encode(DIALOGUE, tokenizer)["input_ids"]
    assert notebook.templated_length(DIALOGUE, tokenizer) == len(encoded)
