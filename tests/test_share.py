"""What leaves the notebook for a class: Moodle question banks and a worksheet."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

MARKS = "~=#{}:"  # GIFT's own signs, if no backslash stands before them


def unescape(text: str) -> str:
    """A GIFT text without its backslashes."""
    return re.sub(r"\\(.)", r"\1", text)


def read_gift(bank: str) -> list[dict]:
    """A small reader of GIFT's short and numerical answers, by Moodle's page."""
    questions = []
    for block in bank.strip().split("\n\n"):
        plain = r"(?:\\.|[^\\~=#{}:])*"  # escaped signs and signs without a meaning
        answers = rf"(?:={plain})+|#-?\d+\.\d+:0\.01 "
        found = re.fullmatch(
            rf"::({plain})::\[html\]({plain})\{{({answers})####({plain})\}}", block
        )
        assert found, block
        name, question, answers, feedback = found.groups()
        typed = re.split(r"(?<!\\)=", answers.replace("#", "=#"))[1:]
        questions.append(
            {
                "name": unescape(name),
                "question": unescape(question).strip(),
                "answers": [unescape(text).strip() for text in typed],
                "feedback": unescape(feedback).strip(),
            }
        )
    return questions


class Page(HTMLParser):
    """Counts elements, keeps texts, and asserts that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.counts, self.pictures, self.texts = [], {}, [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag == "img":
            self.pictures.append(dict(attrs))
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(params=[1, 2, 3])
def chosen(request, notebook) -> dict:
    return dict(topics=notebook.COMPUTABLE, count=50, seed=request.param)


def problems_of(notebook, chosen) -> list:
    return notebook.draw_problems(**chosen)


def test_the_same_seed_gives_the_same_problems_and_no_two_are_alike(notebook, chosen):
    problems = notebook.draw_problems(**chosen)
    assert problems == notebook.draw_problems(**chosen)
    assert len({problem[1] for problem in problems}) == 50
    assert problems != notebook.draw_problems(**chosen | {"seed": 99})


def test_a_topic_with_few_problems_says_how_many(notebook, monkeypatch):
    with pytest.raises(ValueError, match="only 0 different"):
        notebook.question_bank([], 5, 1)
    one = ("What is 1 + 1?", "1 + 1 = 2.\nAnswer: 2", "2")
    monkeypatch.setitem(notebook.TOPICS, "fractions", lambda rng: one)
    with pytest.raises(ValueError, match="only 1 different"):
        notebook.worksheet(["fractions"], 2, 1)


def test_gift_reads_back_as_it_was_written(notebook, chosen):
    found = read_gift(notebook.question_bank(**chosen))
    problems = problems_of(notebook, chosen)
    assert len(found) == len(problems)
    for question, (asked, solution, answer) in zip(found, problems):
        assert question["question"] == notebook.as_html(asked, notebook.MOODLE_FORMULA)
        assert question["feedback"] == notebook.as_html(
            solution, notebook.MOODLE_FORMULA
        )
        typed = notebook.accepted(answer)
        if notebook.DECIMAL.fullmatch(typed[0]):
            typed = [f"#{typed[0]}:0.01"]
        assert question["answers"] == typed
        assert "$" not in question["question"] + question["feedback"]


def test_every_accepted_answer_is_right_for_the_notebook_s_own_judge(notebook, chosen):
    asked, solutions, typed = [], [], []
    for question, solution, answer in problems_of(notebook, chosen):
        for text in notebook.accepted(answer):
            asked.append(question)
            solutions.append(solution)
            typed.append(f"Answer: {text}".replace("\\*", "*"))
    verdicts = notebook.judge_answers(solutions, typed, asked)
    assert "wrong" not in verdicts
    assert verdicts.count("right") > 0.9 * len(verdicts)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("12", ["12"]),
        ("x = 3/4", ["x = 3/4", "x=3/4", "3/4"]),
        ("29 dollars", ["29 dollars", "29dollars", "29"]),
        ("$3x^2 - x$", ["3x^2 - x", "3x^2-x"]),
        ("x = 4 or x = 5", ["x = 4 or x = 5", "x=4 or x=5"]),
        ("2 * 5", [r"2 \* 5", r"2\*5"]),
    ],
)
def test_what_a_pupil_may_type(notebook, answer, accepted):
    assert notebook.accepted(answer) == accepted


def test_signs_with_a_meaning_are_escaped(notebook, monkeypatch):
    nasty = ("Is $\\{a: b\\} ~ 5 \\neq 4$ # = {x}?", "a < b.\nAnswer: 2 * 5", "2 * 5")
    monkeypatch.setitem(notebook.TOPICS, "fractions", lambda rng: nasty)
    bank = notebook.question_bank(["fractions"], 1, 1)
    (question,) = read_gift(bank)
    assert question["question"] == r"Is \(\{a: b\} ~ 5 \neq 4\) # = {x}?"
    assert question["answers"] == [r"2 \* 5", r"2\*5"]
    assert question["feedback"] == "a &lt; b.<br>Answer: 2 × 5"


PARSE = """
const { parse } = require("gift-pegjs");
const bank = require("fs").readFileSync(0, "utf8");
console.log(JSON.stringify(parse(bank)));
"""


def test_the_format_s_own_grammar_reads_the_bank(notebook, chosen):
    """npm's gift-pegjs, installed where GIFT_PEGJS says; skipped without it."""
    folder = pathlib.Path(os.environ.get("GIFT_PEGJS", "gift-pegjs-is-not-here"))
    if not (shutil.which("node") and (folder / "node_modules").is_dir()):
        pytest.skip(
            "needs node and, in the folder GIFT_PEGJS, `npm install gift-pegjs`"
        )
    bank = notebook.question_bank(**chosen)
    done = subprocess.run(
        ["node", "-e", PARSE], input=bank, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    for question, own in zip(found, read_gift(bank), strict=True):
        assert question["title"] == own["name"]
        assert question["stem"]["format"] == "html"
        assert question["stem"]["text"] == own["question"]
        if question["type"] == "Numerical":
            number = question["choices"]
            assert own["answers"] == [f"#{number['number']}:{number['range']}"]
        else:
            typed = [choice["text"]["text"] for choice in question["choices"]]
            assert question["type"] == "Short" and typed == own["answers"]
        assert question["globalFeedback"]["text"] == own["feedback"]


def test_a_decimal_has_a_tolerance_and_a_whole_number_none(notebook, monkeypatch):
    for answer, typed in [
        ("2.5", "#2.5:0.01 "),
        ("-4", "=-4 "),
        ("x = 4", "=x \\= 4 "),
    ]:
        problem = ("How much?", f"So.\nAnswer: {answer}", answer)
        monkeypatch.setitem(notebook.TOPICS, "fractions", lambda rng, it=problem: it)
        assert f"{{{typed}" in notebook.question_bank(["fractions"], 1, 1)


def test_the_worksheet_has_questions_first_and_the_key_on_a_page_of_its_own(
    notebook, chosen
):
    text = notebook.worksheet(**chosen)
    page = Page(text)
    assert page.open == []
    assert page.counts["li"] == 100 and page.counts["ol"] == 2
    assert "#key { break-before: page; }" in text
    questions, key = text.split('<section id="key">')
    assert "Answer:" not in questions and key.count("Answer: ") == 50
    formulas = sum(
        text.count("$") for one in problems_of(notebook, chosen) for text in one[:2]
    )
    assert len(page.pictures) == formulas // 2 > 10
    for picture in page.pictures:
        assert picture["alt"] and picture["src"].startswith(
            "data:image/svg+xml;base64,"
        )
    assert "$" not in "".join(page.texts) and "http" not in text


def test_the_page_hands_out_files_that_are_stored_nowhere(notebook):
    links = notebook.make_handouts(["fractions", "statistics"], 6)
    found = re.findall(r'download="(.+?)" href="data:.+?base64,(.+?)"', links)
    assert [name for name, _ in found] == ["worksheet.html", "moodle-gift.txt"]
    page, bank = (base64.b64decode(data).decode() for _, data in found)
    assert len(read_gift(bank)) == 6 and Page(page).counts["li"] == 12


def test_the_page_hands_out_nothing_that_cannot_be_had(notebook):
    with pytest.raises(ValueError, match="only 0 different"):
        notebook.make_handouts([], 6)
