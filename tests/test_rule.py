"""Worked by rule: right by the check, true in each step, None without a rule."""

import pytest
from test_check import DECIDABLE
from test_generator import sums, value_of

QUESTIONS = [line.split(" :: ")[0] for line in DECIDABLE.strip().splitlines()]


@pytest.fixture(scope="module")
def worked(notebook) -> dict[str, str]:
    """The questions that a rule solves, and their solutions."""
    found = {
        text: notebook.worked_by_rule(text.replace("⏎", "\n")) for text in QUESTIONS
    }
    return {text: solution for text, solution in found.items() if solution}


def test_sixty_percent_of_the_decidable_questions_are_worked(worked):
    assert len(worked) >= 0.6 * len(QUESTIONS)


def test_the_check_calls_the_solutions_right(notebook, worked):
    checks = notebook.check_answers(
        [text.replace("⏎", "\n") for text in worked], list(worked.values())
    )
    assert {check.status for check in checks} == {"right"}


def test_every_step_is_true(notebook, worked):
    for solution in worked.values():
        assert not notebook.first_false_step(solution), solution
        for left, right in sums(solution):
            assert value_of(left) == value_of(right), solution


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("Solve 3x + 7 = 25.", "Subtract 7 from both sides: 25 - 7 = 18, so 3x = 18."),
        ("Solve $x^2 - 5x + 6 = 0$.", "We get (5 + 1) / 2 = 3 and (5 - 1) / 2 = 2."),
        ("What is 3/4 + 5/6?", "So we get 18/24 + 20/24 = 19/12."),
        ("What is the range of 3, 9 and 5?", "The range is 9 - 3 = 6."),
        ("Find the determinant of [[1, 2], [3, 4]]", "So ad - bc is 4 - 6 = -2."),
    ],
)
def test_a_solution_has_the_words_of_the_training_data(notebook, question, line):
    assert line in notebook.worked_by_rule(question).splitlines()


@pytest.mark.parametrize(
    "question",
    ["", "Why is the sky blue?", "Solve 2^x = 32.", "How many rows?",
     "x^9999999 = 1", "9^9^9^9", "Solve " + "(" * 400, "gcd(1, x)",
     "mean of __import__('os'), 2"],
)  # fmt: skip
def test_no_rule_no_solution(notebook, question):
    assert notebook.worked_by_rule(question) is None
