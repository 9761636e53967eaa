"""The problems that the notebook makes: SymPy solves each from its text."""

import random
import re
from fractions import Fraction
from itertools import islice

import pytest
import sympy
from sympy.parsing.sympy_parser import (
    convert_xor,
    implicit_multiplication_application,
    parse_expr,
    standard_transformations,
)

RULES = (*standard_transformations, convert_xor, implicit_multiplication_application)
PROBLEMS_A_TOPIC = 60
x, y = sympy.symbols("x y")


def plain(text: str) -> str:
    """LaTeX as the questions use it, rewritten as plain text."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", text)
    text = re.sub(r"\\sqrt\{(\d+)\}", r"sqrt(\1)", text)
    for latex, sign in ((r"\times", "*"), (r"\div", "/"), ("$", "")):
        text = text.replace(latex, sign)
    return text


def parse(text: str) -> sympy.Expr:
    """An expression in school notation: 3x^2 - (x + 1)(x - 2)."""
    return parse_expr(plain(text).strip(), transformations=RULES)


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?<![\d\w)])-?\d+|\d+", text)]


def without_wording(notebook, question: str) -> str:
    """What stands in place of @ in the longest wording that fits."""
    for wording in sorted(notebook.WORDINGS, key=len, reverse=True):
        before, after = wording.split("@")
        if question.startswith(before) and question.endswith(after):
            return question[len(before) : len(question) - len(after)]
    raise ValueError(question)


def solutions(text: str) -> sympy.Set:
    """The real solutions of an equation or inequality, or of several with "or"."""
    found = []
    for part in text.split(" or "):
        left, sign, right = re.split("([<=>])", part)
        letter = sympy.Symbol(re.search("[a-z]", part).group())
        relation = {"=": sympy.Eq, "<": sympy.Lt, ">": sympy.Gt}[sign]
        both = relation(parse(left), parse(right))
        found.append(sympy.solveset(both, letter, sympy.S.Reals))
    return sympy.Union(*found)


def situation(q: str) -> sympy.Rational:
    """The answer to an everyday situation."""
    n = numbers(q)
    if "get off" in q or "more than a friend" in q:
        return n[0] - n[1]
    if "change" in q:
        return n[2] - n[0] * n[1]
    if "equally" in q:
        return sympy.Rational(n[0], n[1])
    if "soup" in q:
        return sympy.Rational(n[1] * n[2], n[0])
    assert "rides" in q
    return n[0] * n[1] + n[2]


def later_term(q: str) -> int:
    """A later term of a sequence."""
    terms = re.search(r"(?:\d+, )+\d+", q).group().split(", ")
    a, b, c = map(sympy.Integer, terms)
    if "next term of the geometric" in q:
        assert b / a == c / b
        return c * (b / a)
    assert "arithmetic" in q and b - a == c - b
    return a + (int(re.search(r"term (\d+)", q).group(1)) - 1) * (b - a)


def chance(q: str) -> sympy.Rational:
    """The probability of a colour."""
    colours = "red|blue|green|black|white"
    counts = {colour: int(n) for n, colour in re.findall(rf"(\d+) ({colours})", q)}
    colour = re.findall(colours, q)[-1]
    likely = sympy.Rational(counts[colour], sum(counts.values()))
    return likely**2 if "both" in q else 1 - likely if "not" in q else likely


def expected(notebook, topic: str, question: str) -> object:
    """What SymPy finds for a question: a number, a formula or a set of solutions."""
    q, n = plain(question), numbers(plain(question))
    if topic in ("arithmetic", "fractions", "powers and roots"):
        return parse(without_wording(notebook, question))
    if topic == "percentages":
        if "as a percentage of" in q:
            return sympy.Rational(100 * n[0], n[1])
        percent = int(re.search(r"(\d+)%", q).group(1))
        price = re.search(r"(\d+) dollars", q)
        whole = int((price or re.search(r"of (\d+)", q)).group(1))
        return sympy.Rational(whole * (100 - percent if price else percent), 100)
    if topic == "number theory":
        return (sympy.ilcm if re.search(r"lcm|least", q) else sympy.igcd)(*n)
    if topic == "word problems":
        return situation(q)
    if topic in ("linear equations", "quadratic equations"):
        return solutions(plain(without_wording(notebook, question)))
    if topic == "systems of equations":
        pair = re.findall(r"(\d*x [-+] \d*y) = (-?\d+)", q)
        return sympy.solve([parse(left) - int(right) for left, right in pair], [x, y])
    if topic == "brackets and factors":
        formula = re.fullmatch("(?:Factor|Factorise|Expand|Multiply out) (.*)[.]", q)
        return sympy.expand(parse(formula.group(1)))
    if topic == "geometry":
        a, b = map(sympy.Integer, n[:2])
        if "angles" in q:
            return 180 - a - b
        return (
            2 * (a + b) if "perimeter" in q else a * b / (2 if "triangle" in q else 1)
        )
    if topic == "sequences":
        return later_term(q)
    if topic == "statistics":
        values = sorted(n)
        if "range" in q:
            return values[-1] - values[0]
        middle = values[(len(values) - 1) // 2 : len(values) // 2 + 1]
        chosen = values if "mean" in q else middle
        return sympy.Rational(sum(chosen), len(chosen))
    if topic == "probability":
        return chance(q)
    if topic == "counting":
        if "team of" in q:
            return sympy.binomial(n[1], n[0])
        return sympy.ff(n[0], 2) if "captain" in q else sympy.prod(n)
    if topic == "derivatives":
        return sympy.diff(
            parse(re.search(r"(?:= |\$)(\d*x\^.*?)\$", question).group(1)), x
        )
    if topic == "integrals":
        limits = re.search(r"\\int_(\d)\^(\d)", question)
        function = parse(re.search(r"\((.*)\)", question).group(1))
        if limits:
            low, high = map(int, limits.groups())
            return sympy.integrate(function, (x, low, high))
        return sympy.integrate(function, x)
    assert topic == "determinants", topic
    return sympy.Matrix(2, 2, n).det()


def agrees(topic: str, question: str, answer: str, value: object) -> bool:
    """Whether the stated answer says what SymPy found."""
    if topic in ("linear equations", "quadratic equations"):
        return solutions(answer) == value
    if topic == "systems of equations":
        stated = re.fullmatch(r"x = (-?\d+), y = (-?\d+)", answer)
        return {x: int(stated.group(1)), y: int(stated.group(2))} == value
    units = r" (dollars|km|c?m\^2|c?m|degrees|people|[a-z]+s)$|%$"
    stated = parse(re.sub(units, "", answer).replace(" + C", ""))
    if topic == "brackets and factors":
        is_sum = isinstance(stated, sympy.Add)
        return sympy.expand(stated) == value and is_sum != question.startswith("Fac")
    return sympy.expand(stated - value) == 0


@pytest.fixture(scope="module")
def rows(notebook) -> list[dict]:
    return list(islice(notebook.make_problems(seed=5), 3000))


def value_of(expression: str) -> Fraction:
    """The exact value of plain arithmetic."""
    exact = re.sub(
        r"\d+\.\d+", lambda number: f"Rational('{number.group()}')", expression
    )
    return Fraction(
        str(parse_expr(exact, transformations=(*standard_transformations, convert_xor)))
    )


def sums(text: str) -> list[tuple[str, str]]:
    """Each plain expression of a text with the number behind its equals sign."""
    found = []
    for equals in re.finditer(r" = (?=-?\d)", text):
        left = re.search(r"(?:sqrt|[\d\s.()*/+^!-])*$", text[: equals.start()]).group()
        left = re.split(r"\. |\n", left)[-1].strip()
        right = re.match(r"-?\d+(\.\d+)?(/\d+)?", text[equals.end() :]).group()
        cut_off = re.match(r"[-+*/] |[/^)]", left)  # the "+ 2" of an equation x + 2 = 5
        if re.search(r"\d.*[-+*/^]|!|sqrt", left) and not cut_off:
            found.append((left, right))
    return found


def test_every_topic_that_was_asked_for_is_there(notebook):
    asked = {
        "arithmetic",
        "fractions",
        "linear equations",
        "quadratic equations",
        "systems of equations",
        "geometry",
        "sequences",
        "statistics",
        "probability",
        "counting",
        "derivatives",
        "integrals",
        "determinants",
        "number theory",
        "percentages",
        "powers and roots",
        "brackets and factors",
        "word problems",
        "concepts",
        "reasons",
        "odds and ends",
    }
    assert asked == set(notebook.TOPICS)


def test_answers_are_what_sympy_finds(notebook):
    for topic in notebook.COMPUTABLE:
        for seed in range(PROBLEMS_A_TOPIC):
            question, _, answer = notebook.TOPICS[topic](random.Random(seed))
            value = expected(notebook, topic, question)
            assert agrees(topic, question, answer, value), (topic, question, answer)


def test_a_wrong_answer_would_be_noticed(notebook):
    for topic in notebook.COMPUTABLE:
        question, _, answer = notebook.TOPICS[topic](random.Random(1))
        wrong = re.sub(
            r"\d", lambda digit: str((int(digit.group()) + 1) % 10), answer, count=1
        )
        value = expected(notebook, topic, question)
        assert not agrees(topic, question, wrong, value), (topic, question, wrong)


def test_every_step_is_exact(rows):
    found = 0
    for row in rows:
        for left, right in sums(row["answer"]):
            found += 1
            assert value_of(left) == Fraction(right), row["answer"]
            if "/" in right:
                assert str(Fraction(right)) == right, row["answer"]  # in lowest terms
    assert found > 1.5 * len(rows)


def test_steps_are_found_where_they_are():
    text = (
        "x = (5 - 1) / (2 * 1) = 2, so 3x = -6. At 2: 1/2 * 1/3 = 1/6; "
        "x + 2 = 5. Add 1.5 + 2 = 3.5."
    )
    assert sums(text) == [
        ("(5 - 1) / (2 * 1)", "2"),
        ("1/2 * 1/3", "1/6"),
        ("1.5 + 2", "3.5"),
    ]


def test_numbers_of_the_answer_were_worked_out(notebook, rows):
    """Each number of the answer, exponents apart, stands in question or steps."""
    for row in rows:
        if row["topic"] in notebook.COMPUTABLE:
            steps, answer = row["answer"].rsplit("\nAnswer: ", 1)
            worked_out = set(re.findall(r"\d+", re.sub(r"\^\d", "", answer)))
            assert worked_out <= set(re.findall(r"\d+", row["question"] + steps)), row


def test_a_solution_ends_with_its_answer_and_is_short(notebook):
    for make in notebook.TOPICS.values():
        for seed in range(200):
            question, solution, answer = make(random.Random(seed))
            assert solution.splitlines()[-1] == f"Answer: {answer}"
            assert 2 <= len(solution.splitlines()) <= 7, solution
            assert 20 <= len(solution) <= 280, solution
            assert len(question) <= 130, question


@pytest.mark.parametrize(
    "fault",
    [
        r"\b1 (?!is\b|becomes|gives)[a-z]+s\b",
        r"\ba (8|11|18|[aeiou])",
        r"\ban [^aeiouh8]",
        r"[-+*/] -\d",
        r"(?<![\d.])1[xynt]\b",
        r"--",
        r"(?<!int_0)\^1(?!\d)",
        r"\+ \+",
        r"  ",
        r" [.,](?!\.)",
        r"(?<![\d.])0x",
        "@",
    ],
)
def test_no_malformed_text(notebook, rows, fault):
    for row in [*rows, *islice(notebook.make_off_topic(seed=3), 400)]:
        for text in (row["question"], row["answer"]):
            assert not re.search(fault, text), text


def test_dollar_signs_come_in_pairs(rows):
    for row in rows:
        assert row["question"].count("$") % 2 == row["answer"].count("$") % 2 == 0, row


def test_rows_are_the_seeds(notebook):
    first, again, other = (
        list(islice(notebook.make_problems(seed), 200)) for seed in (1, 1, 2)
    )
    assert first == again
    assert (
        len({row["question"] for row in first} & {row["question"] for row in other})
        < 20
    )


def test_no_question_twice_and_topics_in_balance(notebook, rows):
    assert len({" ".join(row["question"].lower().split()) for row in rows}) == len(rows)
    first = [row["topic"] for row in rows[:1500]]
    counts = {topic: first.count(topic) for topic in notebook.TOPICS}
    rounds = [
        counts[topic] / notebook.PRACTICE.get(topic, 1) for topic in notebook.COMPUTABLE
    ]
    assert max(rounds) - min(rounds) <= 1
    assert notebook.PRACTICE.keys() <= notebook.TOPICS.keys()
    assert counts["concepts"] >= 45 and counts["reasons"] == len(notebook.REASONS)
    assert set(rows[0]) == {"topic", "question", "answer"}


def test_the_key_is_what_is_asked_and_not_its_words(notebook):
    """The problem itself is held out or not, whoever asks for it, and however."""
    solve = notebook.solve_equations
    asked = [("Solve 2x + 3 = 11.", "2x + 3 = 11"), ("Find y: $2y+3=11$", "2y+3=11")]
    keys = {
        notebook.problem_key("linear equations", question, "\n".join(solve(equation)))
        for question, equation in asked
    }
    other = "\n".join(solve("2x + 5 = 13"))
    assert len(keys) == 1
    assert notebook.problem_key("linear equations", "", other) not in keys


def test_a_fresh_problem_is_never_trained_on_in_other_words(notebook):
    """Seeds and sizes of the embedded preset, and four times as many training rows."""
    fresh = notebook.fresh_problems(notebook.FRESH_PER_TOPIC, notebook.SEED + 1)
    solutions = {messages[1]["content"] for messages in fresh["messages"]}
    rows = islice(notebook.make_problems(notebook.SEED), 4 * 1500)
    assert not solutions & {row["answer"] for row in rows}
    assert len(solutions) == len(fresh)


def test_a_small_stock_ends_without_hanging(notebook):
    """Makers with two questions in all: each comes once, then the rows start again."""
    makers = [
        (
            "coin",
            lambda rng: (
                rng.choice(("Heads?", "heads?", "Tails?")),
                "Answer: yes",
                "yes",
            ),
        )
    ]
    questions = [row["question"] for row in islice(notebook.make_rows(0, makers), 10)]
    assert {"heads" in question.lower() for question in questions[:2]} == {True, False}
    assert len(questions) == 10


def test_off_topic_rows_vary_and_refuse(notebook, rows):
    refused = list(islice(notebook.make_off_topic(seed=3), 400))
    questions = {row["question"] for row in refused}
    assert len(questions) == 400
    assert {row["topic"] for row in refused} == {"off-topic"}
    assert not questions & {row["question"] for row in rows}
    assert len({question.split()[0] for question in questions}) > 25
    assert len({row["answer"] for row in refused}) > 25
    for row in refused:
        assert row["answer"].startswith(notebook.REFUSAL_START)
        assert (
            len(row["answer"].split()) < 35
            and "Answer:" not in row["answer"]
            and "@" not in row["answer"]
        )
    near_misses = (
        "about pi",
        "calculus",
        "for six people",
        "mathematician",
        "calculator",
    )
    assert all(near_miss in "\n".join(questions) for near_miss in near_misses)


def test_mathematics_and_the_rest_are_asked_alike(notebook, rows):
    """Neither politeness nor a first word such as "What" tells which is which."""
    refused = list(islice(notebook.make_off_topic(seed=3), 300))
    for start in (
        "What is",
        "Explain",
        "Homework",
        "Hello!",
        "Please help me.",
        "How",
        "Find|Who|Tell me",
    ):
        assert any(re.match(start, row["question"]) for row in rows), start
        assert any(re.match(start, row["question"]) for row in refused), start


def test_no_solution_declines(notebook, rows):
    assert not any(notebook.REFUSAL_START in row["answer"] for row in rows)
