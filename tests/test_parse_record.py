"""`parse_record`: the layouts it reads, what it refuses, what no input may do."""

import json
import pathlib
import re
import time

import pytest
from conftest import SHARED_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

TESTS = pathlib.Path(__file__).parent
Q, A = "What is 2 + 3?", "2 + 3 = 5."


def texts(messages):
    """The contents of well-formed messages: first a user's, last an assistant's."""
    assert (
        [m["role"] for m in messages]
        == ["user", "assistant"] * (len(messages) // 2)
        != []
    )
    assert all(
        set(m) == {"role", "content"} and m["content"].strip() == m["content"] != ""
        for m in messages
    )
    return [m["content"] for m in messages]


ONE_PAIR = {  # every one of these texts holds the pair (Q, A)
    "problem": f"Problem: {Q}\nSolution: {A}",
    "question": f"Question: {Q}\nAnswer: {A}",
    "exercise": f"Exercise: {Q}\n\nSolution: {A}",
    "labels on own lines": f"Problem:\n{Q}\n\nSolution:\n{A}",
    "lower case": f"question: {Q}\nanswer: {A}",
    "upper case": f"PROBLEM: {Q}\nSOLUTION: {A}",
    "Windows line ends": f"Problem: {Q}\r\nSolution: {A}\r\n",
    "bold, colon inside": f"**Problem:** {Q}\n**Solution:** {A}",
    "bold, colon outside": f"**Problem**: {Q}\n\n**Answer**: {A}",
    "bold, no colon": f"**Problem**\n{Q}\n\n**Solution**\n{A}",
    "bold, numbered with a full stop": f"**Problem 1.** {Q}\n\n**Solution.** {A}",
    "numbered": f"Problem 1: {Q}\nSolution 1: {A}",
    "numbered with a sign": f"Exercise #12: {Q}\nAnswer: {A}",
    "numbered like a chapter": f"Exercise 3.1: {Q}\nSolution: {A}",
    "numbered list": f"1. **Question:** {Q}\n2. **Answer:** {A}",
    "school level": f"Problem (middle school): {Q}\nSolution (worked): {A}",
    "qualified": f"Practice Problem 2: {Q}\nFinal Answer: {A}",
    "Markdown headings": f"## Problem\n{Q}\n\n## Solution\n{A}",
    "deeper headings": f"### Exercise 2:\n{Q}\n\n#### Solution:\n{A}",
    "bold headings": f"# **Question**\n{Q}\n# **Answer**\n{A}",
    "heading and label": f"## Problem\n**Question:** {Q}\n\n**Answer:** {A}",
    "explanation above": (
        f"## Addition\nNote: sums are easy.\n\n## Exercise\n{Q}\n\n## Solution\n"
        f"{A}\n\n---"
    ),
    "textbook": f"Sums add things. The exercise: {Q} The solution: {A}",
    "textbook on lines": (
        f"An explanation.\n\nExample: one.\n\nThe exercise:\n{Q}\n\nThe solution:\n{A}"
    ),
    "textbook, bold": f"Why?\n\n**The exercise:** {Q}\n\n**The solution:** {A}",
    "textbook, debris": (
        f"The exercise: {Q}\n\\section{{Solution}}\nThe solution: {A}\n\n"
        f"\\section{{Next"
    ),
    "textbook, headings left": (
        f"Sums.\n\n### The exercise:\n{Q}\n\n### The solution:\n{A}\n\n"
        f"## What comes next"
    ),
    "dialogue": f"Student: {Q}\n\nTeacher: {A}",
    "dialogue, thanks dropped": f"User: {Q}\nQwen: {A}\nUser: Thank you!",
    "dialogue, greeting dropped": (
        f"Tutor: Hello! How can I help you?\nStudent: {Q}\nTutor: {A}"
    ),
    "dialogue, title dropped": (
        f"**A talk about sums**\n\n**Student:** {Q}\n\n**Teacher:** {A}"
    ),
    "dialogue with Markdown": f"### Human: {Q}\n### Assistant: {A}",
    "control characters": (
        "Problem: What is\x00 2 +\x07 3?\ufeff\nSolution: 2 + 3 =\u200b 5.\ud800"
    ),
}


@pytest.mark.parametrize("content", ONE_PAIR.values(), ids=ONE_PAIR)
def test_reads_every_layout_of_one_pair(notebook, content):
    assert texts(notebook.parse_record({"uid": "x", "content": content})) == [Q, A]


LONGER = {  # text -> messages
    "two numbered pairs": (
        f"Problem 1: {Q}\nSolution 1: {A}\nProblem 2: x?\nSolution 2: y",
        [Q, A, "x?", "y"],
    ),
    "an unanswered question": (
        f"Problem: {Q}\nSolution: {A}\nProblem: And 1 + 1?",
        [Q, A],
    ),
    "final answer stays": (
        f"Problem: {Q}\nSolution: {A}\nAnswer: 5",
        [Q, f"{A}\nAnswer: 5"],
    ),
    "question in a problem": (
        "Problem: I have 2.\nQuestion: And 3 more?\nAnswer: 5",
        ["I have 2.\nQuestion: And 3 more?", "5"],
    ),
    "choices": (
        "Question: Which is even?\nA: 3\nB: 4\nAnswer: B",
        ["Which is even?\nA: 3\nB: 4", "B"],
    ),
    "bold in the answer": (
        f"**Problem:** {Q}\n**Solution:**\n**Step 1:** Add.",
        [Q, "**Step 1:** Add."],
    ),
    "braces kept": (
        "Problem: Is $\\frac{1}{2}$?\nSolution: \\boxed{0.5}",
        ["Is $\\frac{1}{2}$?", "\\boxed{0.5}"],
    ),
    "GSM8K marks": (
        "Question: Half of 8?\nAnswer: 8/2=<<8/2=4>>4\n#### 4",
        ["Half of 8?", "8/2=4\nAnswer: 4"],
    ),
    "abbreviated": (
        f"Layman: {Q}\nExpert: {A}\nL: Why?\nE: Count.",
        [Q, A, "Why?", "Count."],
    ),
    "twice in a row": (
        f"Student: {Q}\nTeacher: Add.\nTeacher: {A}",
        [Q, f"Add.\n\n{A}"],
    ),
    "learner by name": (f"Teacher: Today we add.\nStudent: {Q}\nTeacher: {A}", [Q, A]),
    "not speakers": (
        f"Student: {Q}\nTeacher: See.\nNote: add.\nStep 1: 2\nCase 2: 3\nProof: clear.",
        [Q, "See.\nNote: add.\nStep 1: 2\nCase 2: 3\nProof: clear."],
    ),
    "ratio": (f"Student: {Q}\nTeacher: Take\nA:B = 1:2", [Q, "Take\nA:B = 1:2"]),
    "a point among labels": (
        "Question: Find AB.\nA: (0,0)\nC: (3,4)\nAnswer: 5",
        ["Find AB.\nA: (0,0)\nC: (3,4)", "5"],
    ),
    "choices without marks": (
        "Question: Which is even?\nA 3\nB 4\nAnswer\nB",
        ["Which is even?\nA 3\nB 4", "B"],
    ),
    "a line to write on": (f"Problem: {Q}\nAnswer: ____\nSolution: {A}", [Q, A]),
    "an empty label": (f"Problem: {Q}\nSolution: {A}\nFinal Answer:", [Q, A]),
    "stage directions": (f"Student (puzzled): {Q}\n**Teacher (smiling):** {A}", [Q, A]),
    "paragraphs": (
        f"Student: {Q}\n\nTeacher: Look.\n\n{A}\n\nStudent: Oh.",
        [Q, f"Look.\n\n{A}"],
    ),
}


@pytest.mark.parametrize(("content", "expected"), LONGER.values(), ids=LONGER)
def test_reads_longer_texts(notebook, content, expected):
    assert texts(notebook.parse_record({"text": content})) == expected


USER, TUTOR = {"role": "user", "content": Q}, {"role": "assistant", "content": A}
COLUMNS = {
    "question/answer": ({"question": Q, "answer": A}, [Q, A]),
    "capitals": ({" Question": Q, "ANSWER ": A, "Level": 3}, [Q, A]),
    "problem/solution": ({"problem": Q, "solution": A, "answer": "5"}, [Q, A]),
    "input/output": ({"input": Q, "output": A}, [Q, A]),
    "instruction/output": ({"instruction": Q, "output": A, "input": ""}, [Q, A]),
    "instruction, input": (
        {"instruction": "Add.", "input": "2, 3", "output": A},
        ["Add.\n2, 3", A],
    ),
    "prompt/response": ({"prompt": Q, "response": A}, [Q, A]),
    "GSM8K": (
        {"question": Q, "answer": "2+3=<<2+3=5>>5\n#### 5"},
        [Q, "2+3=5\nAnswer: 5"],
    ),
    "query/response": (
        {"query": Q, "original_question": "?", "response": A, "type": "x"},
        [Q, A],
    ),
    "the worked solution before the result": (
        {"problem": Q, "expected_answer": "5", "generated_solution": A},
        [Q, A],
    ),
    "of several solutions the first": (
        {"question": Q, "final_answer": "5", "r1_solution_1": A, "r1_solution_2": "5"},
        [Q, A],
    ),
    "spaces and dots": (
        {"No.": "1", "Question ": Q, "Worked solution": A, "Marks": "2"},
        [Q, A],
    ),
    "cards": ({"Front": Q, "Back": A}, [Q, A]),
    "a number": ({"question": Q, "answer": 5.0}, [Q, "5"]),
    "a number to work on": (
        {"instruction": "Double it.", "input": 5, "output": 10},
        ["Double it.\n5", "10"],
    ),
    "body": (
        {"Body": "I have 2.", "Question": "And 3 more?", "Answer": "5.0"},
        ["I have 2.\nAnd 3 more?", "5.0"],
    ),
    "passage": (
        {"passage": "I have 2.", "question": "And 3 more?", "answer": "5"},
        ["I have 2.\nAnd 3 more?", "5"],
    ),
    "the right one of two answers": (
        {"Question": Q, "Response": "6", "Correct answer": "5"},
        [Q, "5"],
    ),
    "reasoning": ({"question": Q, "answer": f"<think>\nHm.\n</think>\n\n{A}"}, [Q, A]),
    "reasoning without its beginning": (
        {"question": Q, "answer": f"Hm.</think> {A}"},
        [Q, A],
    ),
    "marked right": ({"question": Q, "answer": A, "is_correct": True}, [Q, A]),
    "a proof": ({"problem": Q, "solution": A, "answer": "proof"}, [Q, A]),
    "GSM8K, not at the end": (
        {"question": Q, "answer": "2+3=5\n#### 5\nSo it is 5."},
        [Q, "2+3=5\nAnswer: 5\nSo it is 5."],
    ),
    "roles in capitals": (
        {
            "messages": [
                {"role": "HUMAN", "content": Q},
                {"role": "Assistant", "content": A},
            ]
        },
        [Q, A],
    ),
    "prompt and completion as chats": (
        {
            "prompt": [{"role": "user", "content": Q}],
            "completion": [{"role": "assistant", "content": A}],
        },
        [Q, A],
    ),
    "messages": (
        {"messages": [{"role": "system", "content": "Be kind."}, USER, TUTOR, USER]},
        [Q, A],
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]},
        [Q, A],
    ),
}


@pytest.mark.parametrize(("row", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_reads_columns(notebook, row, expected):
    assert texts(notebook.parse_record(row)) == expected


REFUSED = [
    f"Q: {Q}\nA: {A}",
    f"Q1: {Q}\nA1: We add: {A}",
    "",
    "   \n",
    Q,
    f"{Q}\n{A}",
    f"{Q} Answer: {A}",
    f"Problem: {Q}",
    f"Solution: {A}",
    f"Answer: {A}\nQuestion: {Q}",
    "Problem:\nSolution: 5",
    f"Problem: {Q}\nSolution:",
    f"Problem: {Q}\nSolution: ...",
    "<problem></problem><solution>5</solution>",
    f"<problem>{Q}</problem>",
    f"The exercise: {Q}",
    f"The solution: {A}",
    f"\\section{{Problem}} {Q}",
    f"Problem 1: {Q}\nProblem 2: And 1 + 1?\nSolution 1: 5\nSolution 2: 2",
    "<problem>a</problem><problem>b</problem><solution>c</solution>",
    "Question: Which is even?\nA: 3\nB: 4",
    "Q: Which is even? A: 3 B: 4 C: 5",
    "The problem is hard and the solution: long.",
    f"<problem>{Q}</problem><solution>{A}</solution>",
    f"Problem: {Q} Solution: {A}",
    f"Question: {Q}\nA: {A}",
    f"The solution: {A}\nThe exercise: {Q}",
    "Problem solving: a guide\nSolution manual: none",
    "## Problem Solving Strategies\nRead.\n## Solutions to avoid\nGuess.",
    "Given: x = 2\nFind: x + 1",
    "Step 1: Add.\nStep 2: Subtract.",
    "Mean: 5?\nMedian: 4",
    "Title: A\nAuthor: B",
    "Note: add.\nProof: trivial?",
    "Student: I ask, and nobody answers?",
    "Student: One?\nStudent: Two?",
    f"Student: {Q}\nTeacher: {A}\nParent: Well done!",
    f"Student A: {Q}\nStudent B: {A}\nS: Who am I?",
    "Teacher: What is 2 + 3?\nStudent: 5?\nTeacher: Right.",
    "Student: 25\nTeacher: 3",
    "Adult: 10\nChild: 5",
    "Ann: I like sums.\nBob: Me too.\nAnn: Good.\nBob: Yes.",
    f"Teacher: {A}\nStudent: Thanks.",
    f"Teacher: What now?\nProblem: {Q}\nStudent: 5?\nSolution: {A}",
    f"Student: {Q}\nTeacher:\nStudent: Hello?",
    f"Student: {Q}\nTeacher: {A} Student: Thanks!",
    f"{Q}\nStep 1: Understand it.\n**Question:** What is asked?\n"
    f"**Answer:** The sum, {A}",
    f"Ann: I like sums.\nBob: {Q}\nAnn: {A}",
    f"Dr. Ada Lovelace: {Q}\nBob: {A}",
    f"A: {Q}\nB: {A}",
    f"Maya: Hi Leo, what is troubling you?\nLeo: {Q}\nMaya: We need to add: {A}",
    f"Student: {Q}\nTeacher: Yes.\nLet T: V \\to W\nT: V -> W\nEnd.",
    f"Student A: {Q}\nStudent B: Take\nA: (1, 2)\nB: (3, 4)",
    f"Student A: {Q}\nStudent B: {A}\nA: Why?\nB: Count.",
    f"Layman: {Q}\nExpert: Take\nE: (1, 2)",
    "Student A: A sum.\nStudent B: It is 5.\nStudent A: Sure?\nStudent B: Yes.",
    f"Problem: Mix it.\nSolution: 10% acid\nHow much is the acid?\nSolution: {A}",
    f"User: {Q}\nQwen: {A}\nuser: And 7?\nqwen: Yes.",
    f"Layman: {Q}\nExpert: {A} L: Why? E: Count.",
    "Student：What is 2 + 3?\nTeacher：We need to add: 2 + 3 = 5, so it is 5.",
    "What number is it?\nMultiply it by 3, then subtract 4, and the result "
    "is 11.\nWe get 3x - 4 = 11, so x = 5.",
    "Who is right?\nMia: I think 3/4 > 2/3 because 9/12 > 8/12.\n"
    "Leo: No, 2/3 is larger.\nMia is right.",
    "How many buses do 130 pupils need?\n"
    "Each class has a helper because the rule asks for one.\n"
    "There are 5 classes.\nThere are 130 + 5 = 135 people.",
    f"A lemma.\nThe exercise: {Q}\nProblem: another?\nSolution: no.",
    "Student A: The text has 3 islands.\nStudent B: Yes.\n"
    "Student A: It says 42.\nStudent B: Is it so?\n"
    "Student A: So it says.\nStudent B: I see.",
    "x" * 150 + f"\n\nStudent: {Q}\nTeacher: {A}",
]


@pytest.mark.parametrize("content", REFUSED)
def test_refuses_texts_without_a_clear_pair(notebook, content):
    assert notebook.parse_record({"content": content}) is None


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"content": None},
        {"content": 5},
        {"content": ["Problem: a", "Solution: b"]},
        {"content": b"Q: a\nA: b"},
        {"question": Q},
        {"answer": A},
        {"question": Q, "answer": None},
        {"question": Q, "answer": float("nan")},
        {"question": "", "answer": A},
        {"question": Q, "answer": " \n "},
        {"question": Q, "answer": "\x00"},
        {"question": [Q], "answer": [A]},
        {"title": Q, "body": A},
        {"messages": []},
        {"messages": "Q: a\nA: b"},
        {"question": Q, "answer": A, "is_correct": False},
        {"question": Q, "answer": A, "solution_is_valid": "No"},
        {"problem": Q, "solution": None, "answer": "notfound"},
        {"problem": Q, "answer": "proof"},
        {"question": "Which is even?", "choices": ["3", "4"], "answer": 1},
        {
            "question": "Which is even?",
            "choices": ["3", "4"],
            "answer": "B",
            "solution": "Look at each.",
        },
        {"question": "Which is even?", "answer": "B"},
        {"question": "Even? A) 3 B) 4", "answer": "B"},
        {"question": "Even?", "choices": ["3", "4"], "answer": "4"},
        {"question": "Even?", "A": "3", "B": "4", "answer": "4 = 2 * 2"},
        {"problem": 12, "answer": "It is 5."},
        {
            "question": "What is 3 - 1?",
            "choices": ["2", "3", "1"],
            "answer": 2,
        },  # an index or the text?
        {
            "question": "Which is even?",
            "option_a": "3",
            "option_b": "4",
            "answer": "Option B",
        },
        {
            "question": "Which are even?",
            "choices": ["2", "3", "4"],
            "answer": "A and C",
        },
        {"question": Q, "answer": A, "is_correct": 0.0},
        {"question": Q, "answer": A, "Correct": "n"},
        {"question": Q, "answer": A, "isCorrect": False},
        {"question": Q, "answer": "#REF!"},
        {"question": Q, "answer": "<think>Hm, 5, or"},
        {"question": Q, "answer": f"<think>{A}</think>"},
        {"prompt": [USER], "completion": [USER]},
        {
            "messages": [
                USER,
                {"role": "assistant", "content": "", "tool_calls": []},
                {"role": "tool", "content": "5"},
                TUTOR,
            ]
        },
        {"messages": [USER]},
        {"messages": [TUTOR]},
        {"messages": [USER, "text"]},
        {"messages": [USER, {"role": "tool", "content": A}]},
        {"messages": [USER, {"role": "assistant", "content": None}]},
        None,
        "Q: a\nA: b",
        [USER, TUTOR],
    ],
    ids=str,
)
def test_refuses_rows_without_a_clear_pair(notebook, row):
    assert notebook.parse_record(row) is None


NAMES = st.sampled_from(
    (
        "content text question answer instruction input output messages conversations "
        "role from value user"
    ).split()
)
PIECES = st.lists(
    st.sampled_from(
        [
            "Problem",
            "Question:",
            "Solution:",
            "Q:",
            "A:",
            "B:",
            "**",
            "1.",
            "##",
            "\\section{",
            "}",
            "<problem>",
            "</problem>",
            "<solution>",
            "The exercise:",
            "The solution:",
            "Student:",
            "Teacher A:",
            "L:",
            "E:",
            "?",
            "\n",
            "\n\n",
            " ",
            "$x$",
            "\x00",
            "\ud800",
            "5",
        ]
    ),
    max_size=25,
)
TEXTS = st.text(max_size=60) | PIECES.map("".join) | PIECES.map(" ".join)
ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | st.binary(max_size=5) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(
    row=st.dictionaries(NAMES | st.integers(), ANYTHING, max_size=5)
    | st.fixed_dictionaries({"content": TEXTS})
)
def test_any_row_becomes_none_or_well_formed_messages(notebook, row):
    messages = notebook.parse_record(row)
    assert messages is None or texts(messages)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "\n",
        "*",
        "#",
        "<problem>",
        "Problem: ",
        "Q:\nA:\n",
        "A:\nB:\n",
        "Student: ?\n",
        "Aa ",
        "\\section{",
        "\n#### 1",
        "<<",
        "Name 1:\n",
        "x.\n---",
        "Problem" + " " * 50,
        "i) ",
        "3,",
        "Find 2.\n1. x\n",
        "$$ x\n",
    ],
)
@pytest.mark.parametrize("size", [100_000, 10_000_000])
def test_long_texts_return_quickly(notebook, piece, size):
    text = (piece * (size // len(piece) + 1))[:size]
    start = time.perf_counter()
    notebook.parse_record({"content": text})
    notebook.parse_record({"question": text, "answer": text})
    notebook.parse_record(
        {
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": text},
            ]
        }
    )
    assert time.perf_counter() - start < 2


def real_rows(name):
    if not (SHARED_DATA / name).exists():
        pytest.skip(f"{SHARED_DATA / name} is not there")
    return [
        json.loads(line)
        for line in (SHARED_DATA / name).read_text(encoding="utf-8").splitlines()
    ]


UNLABELLED = [
    json.loads(line)
    for line in (TESTS / "unlabelled.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", UNLABELLED, ids=[row["why"][:60] for row in UNLABELLED])
def test_a_text_without_labels_is_cut_at_its_joint_or_left_out(notebook, row):
    messages = notebook.parse_record({"uid": "x", "content": row["text"]})
    if messages is None:
        return
    assert row["solution_starts"], (
        "a pair out of a text without a question or without a solution"
    )
    question, answer = texts(messages)
    assert answer.startswith(row["solution_starts"].strip())
    assert question == row["text"][: row["text"].index(row["solution_starts"])].strip()


def test_half_of_the_texts_with_a_plain_joint_are_kept(notebook):
    plain = [row["text"] for row in UNLABELLED if row["kind"] == "plain"]
    parsed = [notebook.parse_record({"content": text}) for text in plain]
    assert sum(map(bool, parsed)) >= 0.5 * len(plain)


def test_real_rows_without_labels(notebook):
    for row, first in zip(
        real_rows("ultradata_qa.jsonl"), ("Step 1:", "To determine", "1. **Determine")
    ):
        question, answer = texts(notebook.parse_record(row))
        assert answer.startswith(first) and question.endswith((".", "?"))


def test_rows_of_other_data_sets(notebook):
    for case in real_rows("row_layouts.jsonl"):
        messages = notebook.parse_record(case["row"])
        if case["expect"] == "refuse":
            assert messages is None, case["why"]
        else:
            first, *_, last = texts(messages)
            assert first.startswith(case["first"]) and last.endswith(case["last"]), (
                case["why"]
            )


def test_real_conversations(notebook):
    label = re.compile(
        r"(?m)^\W*(?:Student|Teacher|User|Qwen|Layman|Expert|Professor|[LE]\b)"
        r"[ AB]{0,2}:"
    )
    for row in real_rows("ultradata_conversation.jsonl"):
        messages = notebook.parse_record(row)
        if "analyzing the area of the islands" in row["content"]:
            assert messages is None, "two students retell a text, nobody teaches"
            continue
        assert len(texts(messages)) >= 6
        assert not any(label.search(text) for text in texts(messages))
        assert (
            row["content"].split(":", 1)[1].split("\n")[0].strip()
            == messages[0]["content"].split("\n")[0]
        )


def test_real_columns(notebook):
    parsed = [notebook.parse_record(row) for row in real_rows("gsm8k_train.jsonl")]
    assert sum(map(bool, parsed)) >= 0.995 * len(parsed)
    assert not any(
        "<<" in m[1]["content"] or "####" in m[1]["content"] for m in parsed if m
    )
