"""The held-out questions: enough, all different, never seen in training."""

import itertools
import re

import pytest

LISTS = ("OFF_TOPIC_TEST", "ON_TOPIC_TEST")


@pytest.fixture(scope="module")
def held_out(notebook):
    return [question for name in LISTS for question in getattr(notebook, name)]


def test_at_least_forty_of_each_and_all_different(notebook, held_out):
    assert all(len(getattr(notebook, name)) >= 40 for name in LISTS)
    assert len({notebook.normalise_question(question) for question in held_out}) == len(
        held_out
    )


def test_the_generators_make_none_of_them(notebook, held_out):
    """5,000 rows, and behind every polite opening and closing of the generators."""
    rows = itertools.chain(
        itertools.islice(notebook.make_problems(seed=11), 3_500),
        itertools.islice(notebook.make_off_topic(seed=11), 1_500),
    )
    made = {notebook.normalise_question(row["question"]) for row in rows}
    asked = {
        notebook.normalise_question(request.replace("@", question))
        for question in held_out for request in notebook.REQUESTS
    }  # fmt: skip
    assert not asked & made


def test_answers_of_the_questions_on_topic_are_read(notebook):
    """About forty have one; it is what a model's right answer is compared with."""
    answers = notebook.ON_TOPIC_ANSWERS
    assert 35 <= len(answers) <= 45 and set(answers) <= set(notebook.ON_TOPIC_TEST)
    texts = [f"Answer: {answer}" for answer in answers.values()]
    unread = [
        text for text in texts if notebook.final_answer(text, strict=True) is None
    ]
    assert unread == []
    verdicts = notebook.judge_answers(texts, texts)
    assert {text: v for text, v in zip(texts, verdicts) if v != "right"} == {}
    checks = notebook.check_answers(list(answers), texts)
    assert [text for text, check in zip(texts, checks) if check.status == "wrong"] == []


def test_no_question_to_decline_has_a_wording_or_a_subject_of_training(notebook):
    """A wording is a sentence of OFF_TOPIC with anything for @; a subject a word."""
    wordings = [
        wording for wordings, _ in notebook.OFF_TOPIC for wording in wordings.split("|")
    ]
    subjects = {
        subject.lower()
        for _, subjects in notebook.OFF_TOPIC
        for subject in subjects.split("|")
        if subject != "-"
    }
    for question in notebook.OFF_TOPIC_TEST:
        known = [
            wording
            for wording in wordings
            if re.fullmatch(re.escape(wording).replace("@", ".+"), question, re.I)
        ]
        shared = [
            subject
            for subject in subjects
            if re.search(rf"(?<!\w){re.escape(subject)}s?(?!\w)", question.lower())
        ]
        assert not known and not shared, question


def test_no_question_to_answer_explains_a_concept_of_training(notebook):
    terms = {re.sub(r"^(?:an?|the) ", "", term) for term, *_ in notebook.CONCEPTS}
    wordings = ("What is", "What does", "Explain", "Tell me what")
    for question in notebook.ON_TOPIC_TEST:
        named = [
            term
            for term in terms
            if re.search(rf"\b{re.escape(term)}\b", question, re.I)
        ]
        assert not (named and question.startswith(wordings)), question


def test_pupils_type_differently(notebook):
    """Some lines begin with a small letter, some do not, in both lists alike."""
    for name in LISTS:
        questions = getattr(notebook, name)
        careless = [question for question in questions if question[0].islower()]
        assert 0.15 < len(careless) / len(questions) < 0.5
        assert len({question.lower().split()[0] for question in questions}) > 25
        assert max(map(len, questions)) > 3 * min(map(len, questions))


@pytest.mark.parametrize(
    ("question", "bare"),
    [
        ("Hello! What is 1/2 + 1/3?", "1/2 + 1/3"),
        ("Please help me. Find all solutions of $x^2 - 4 = 0$.", "x^2 - 4 = 0"),
        (
            "Count the ways to choose a cap and a hat from 9 caps. Thank you!",
            "choose a cap and a hat from 9 caps",
        ),
        ("A bag holds 2 red and 3 blue balls. How likely is it that it is red?",) * 2,
    ],
)  # fmt: skip
def test_greeting_and_wording_do_not_make_a_problem_new(notebook, question, bare):
    assert notebook.bare_question(question) == notebook.normalise_question(bare)


def test_fresh_problems_differ_and_are_equally_many(notebook):
    fresh = notebook.fresh_problems(12, 2)
    counts = {topic: fresh["topic"].count(topic) for topic in set(fresh["topic"])}
    assert counts == {topic: 12 for topic in notebook.COMPUTABLE}
    assert len(notebook.bare_questions(fresh)) == len(fresh), (
        "not the same in other words"
    )


def test_where_there_are_not_so_many_the_setting_is_named(notebook):
    with pytest.raises(ValueError, match="FRESH_PER_TOPIC = 160"):
        notebook.fresh_problems(160, 1)


def test_what_is_reserved_is_never_trained_on_however_large_the_data(notebook):
    fresh = notebook.fresh_problems(10, 2)
    reserved = notebook.bare_questions(fresh)
    rules = dict(seen=set(reserved), max_length=512, token_count=len)
    pairs, counts, _ = notebook.keep_pairs(
        {"generated": notebook.make_problems(seed=1)},
        2000,
        notebook.partial(notebook.check_row, **rules),
    )
    trained = {notebook.bare_question(pair["messages"][0]["content"]) for pair in pairs}
    assert len(trained) == len(pairs) == 2000 and not trained & reserved
    assert counts.loc["generated", "kept"] == 2000
