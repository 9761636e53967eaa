"""What leaves the notebook for a class: Moodle question banks and a worksheet."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

MARKS = "~=#{}:"  # GIFT's own signs, if no backslash stands before them


def unescape(text: str) -> str:
    """A GIFT text without its backslashes."""
    return re.sub(r"\\(.)", r"\1", text)


def read_gift(bank: str) -> list[dict]:
    """A small reader of GIFT's short-answer questions, written from Moodle's page."""
    questions = []
    for block in bank.strip().split("\n\n"):
        plain = r"(?:\\.|[^\\~=#{}:])*"  # escaped signs and signs without a meaning
        answers = rf"(?:={plain})+"
        found = re.fullmatch(
            rf"::({plain})::\[html\]({plain})\{{({answers})####({plain})\}}", block
        )
        assert found, block
        name, question, answers, feedback = found.groups()
        typed = [part.strip() for part in re.split(r"(?<!\\)=", answers)[1:]]
        questions.append(
            {
                "name": unescape(name),
                "question": unescape(question).strip(),
                "answers": [unescape(text) for text in typed],
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
    return [problem for _, problem in notebook.draw_problems(**chosen)]


def test_the_same_seed_gives_the_same_problems_and_no_two_are_alike(notebook, chosen):
    problems = notebook.draw_problems(**chosen)
    assert problems == notebook.draw_problems(**chosen)
    assert len({problem[1] for _, problem in problems}) == 50
    assert {topic for topic, _ in problems} == set(notebook.COMPUTABLE)
    assert problems != notebook.draw_problems(**chosen | {"seed": 99})


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 51}, {"topics": []}])
def test_a_set_that_cannot_be_drawn_is_refused(notebook, wrong):
    with pytest.raises(ValueError, match="1 to 50 problems"):
        notebook.question_bank(**dict(topics=["fractions"], count=5, seed=1) | wrong)


def test_a_topic_with_few_problems_says_how_many(notebook, monkeypatch):
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
        assert question["answers"] == notebook.accepted(answer)
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
        assert question["type"] == "Short" and question["title"] == own["name"]
        assert question["stem"]["format"] == "html"
        assert question["stem"]["text"] == own["question"]
        typed = [choice["text"]["text"] for choice in question["choices"]]
        assert typed == own["answers"]
        assert question["globalFeedback"]["text"] == own["feedback"]


def test_the_xml_reads_back_as_it_was_written(notebook, chosen):
    quiz = ElementTree.fromstring(notebook.moodle_xml(**chosen))
    problems = problems_of(notebook, chosen)
    kinds = set()
    for item, (asked, solution, answer) in zip(quiz, problems, strict=True):
        kinds.add(item.get("type"))
        texts = [
            item.findtext(f"{tag}/text") for tag in ("questiontext", "generalfeedback")
        ]
        assert texts == [
            notebook.as_html(text, notebook.MOODLE_FORMULA)
            for text in (asked, solution)
        ]
        typed = [part.findtext("text") for part in item.findall("answer")]
        assert typed and set(typed) <= set(notebook.accepted(answer))
        assert item.find("questiontext").get("format") == "html"
        for part in item.findall("answer"):
            assert part.get("fraction") == "100"
            numerical = item.get("type") == "numerical"
            assert (part.find("tolerance") is not None) == numerical
            if numerical:
                float(part.findtext("text"))
    assert kinds == {"numerical", "shortanswer"}


def test_a_decimal_has_a_tolerance_and_a_whole_number_none(notebook, monkeypatch):
    for answer, tolerance in [("2.5", "0.01"), ("-4", "0"), ("x = 4", None)]:
        problem = ("How much?", f"So.\nAnswer: {answer}", answer)
        monkeypatch.setitem(notebook.TOPICS, "fractions", lambda rng, it=problem: it)
        quiz = ElementTree.fromstring(notebook.moodle_xml(["fractions"], 1, 1))
        assert quiz.findtext("question/answer/tolerance") == tolerance


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


@pytest.mark.parametrize("name", ["worksheet.html", "moodle-gift.txt", "moodle.xml"])
def test_the_page_hands_out_a_file_that_is_stored_nowhere(notebook, name):
    link = notebook.make_handout(name, ["fractions", "statistics"], 6)
    file, data = re.search(
        r'download="(.+?)" href="data:.+?base64,(.+?)"', link
    ).groups()
    text = base64.b64decode(data).decode()
    assert file == name and len(text) > 500
    if name == "moodle.xml":
        assert len(ElementTree.fromstring(text)) == 6


@pytest.mark.parametrize(
    ("topics", "count"), [([], 6), (["no such topic"], 6), (["fractions"], 51)]
)
def test_the_page_hands_out_nothing_that_cannot_be_had(notebook, topics, count):
    with pytest.raises(notebook.gr.Error, match="5 to 50 problems"):
        notebook.make_handout("moodle.xml", topics, count)
