"""The calculator: exact results after an equals sign, or nothing; writing them."""

import math
import operator
import random
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    TextIteratorStreamer,
)

FOLLOWS = [
    # whole numbers and the habit of spaces
    ("12 * 12 =", " 144"),
    ("12 * 12 = ", "144"),
    ("12*12=", "144"),
    ("12*12 =", " 144"),
    ("3 - 10 =", " -7"),
    ("5 - 5 =", " 0"),
    ("10-20 =", " -10"),
    ("3 + 4 * 5 =", " 23"),
    ("(3 + 4) * 5 =", " 35"),
    ("( 3 + 4 ) * 5 =", " 35"),
    ("(-4 + 6) / 2 =", " 1"),
    ("-4 + 6 =", " 2"),
    ("3 * -4 =", " -12"),
    ("3 - (-4) =", " 7"),
    ("10 + 5 + 5 + 4 =", " 24"),
    ("100 - 20 - 30 =", " 50"),
    ("60 / 6 / 2 =", " 5"),
    ("6 / 2 * 3 =", " 9"),
    ("2(3 + 4) =", " 14"),
    ("(3)(4) =", " 12"),
    ("2(10)^2 + 6(10) =", " 260"),
    ("20(2) / 5 =", " 8"),
    ("1,200 + 300 =", " 1,500"),
    ("1,200 - 300 =", " 900"),
    ("999,999 + 1 =", " 1,000,000"),
    ("999 + 1 =", " 1000"),
    # the sentence before
    ("Multiply first: 6 * 7 =", " 42"),
    ("1%: 700 / 100 =", " 7"),
    ("8 * 3 = 24.\nAdd: 10 + 24 =", " 34"),
    ("The answer is 42. 3 + 4 =", " 7"),
    ("so 3 + 4 =", " 7"),
    ("4 * 3 = 12, 12 / 4 =", " 3"),
    ("x = 3 + 4 =", " 7"),
    ("2 + 3 * 4 = 2 + 12 =", " 14"),
    ("1. 3 + 4 =", " 7"),
    ("1) 3 + 4 =", " 7"),
    ("**Add:** 3 + 4 =", " 7"),
    ("**Step 1**\n3 + 4 =", " 7"),
    ("With this model we get 3 + 4 =", " 7"),
    ("At 2: 3 * 2^2 =", " 12"),
    # fractions and divisions
    ("3/4 * 2/3 =", " 1/2"),
    ("1/2 + 1/3 =", " 5/6"),
    ("1/2 + 1/2 =", " 1"),
    ("1/3 - 1/2 =", " -1/6"),
    ("22/24 =", " 11/12"),
    ("Reduce: 22/24 = ", "11/12"),
    ("6/3 =", " 2"),
    ("5 / 2 =", " 2.5"),
    ("60 / 8 =", " 7.5"),
    ("10 / 3 =", " 10/3"),
    ("20 / 6 =", " 10/3"),
    ("2/3 / 4/5 =", " 5/6"),
    ("1 / 3/4 =", " 4/3"),
    ("3/4 of 20 =", " 15"),
    # decimals
    ("0.1 + 0.2 =", " 0.3"),
    ("2.5 * 2 =", " 5"),
    ("1.5 - 2 =", " -0.5"),
    ("3.14 * 100 =", " 314"),
    ("1,000.5 * 2 =", " 2,001"),
    (".5 + .5 =", " 1"),
    ("1 / 64 =", " 0.015625"),
    ("1/2 + 0.25 =", " 0.75"),
    # powers, roots, factorials
    ("2^3 =", " 8"),
    ("2**3 =", " 8"),
    ("2**(3) =", " 8"),
    ("2 ^ 3 =", " 8"),
    ("2^10 - 24 =", " 1000"),
    ("(-3)^2 - 4 * 2 * (-5) =", " 49"),
    ("2^(-2) =", " 0.25"),
    ("sqrt(49) =", " 7"),
    ("sqrt(3^2 + 4^2) =", " 5"),
    ("√81 =", " 9"),
    ("4! =", " 24"),
    ("5! / (2! * 3!) =", " 10"),
    # LaTeX and Unicode
    ("$3 + 4 = ", "7"),
    (r"\(3 \times 4 =", " 12"),
    (r"\[3 \cdot 4=", "12"),
    ("6 × 7 =", " 42"),
    ("7 ÷ 2 =", " 3.5"),
    ("5 − 8 =", " -3"),
    (r"$10 \div 4 =", " 2.5"),
    (r"$10 \div 3 =", r" \frac{10}{3}"),
    (r"$\frac{1}{2} + \frac{1}{3} =", r" \frac{5}{6}"),
    (r"$\frac{1}{3} - \frac{1}{2}=", r"-\frac{1}{6}"),
    (r"$\frac{22}{24} =", r" \frac{11}{12}"),
    (r"$\frac{3 + 4}{2} =", r" \frac{7}{2}"),
    (r"$\frac{12}{4} =", " 3"),
    (r"$\left(3 + 4\right) \times 2 =", " 14"),
    (r"$2^{10} =", " 1024"),
    (r"$\sqrt{49} =", " 7"),
    (r"$\dfrac{2}{3} \times \dfrac{3}{4} =", r" \frac{1}{2}"),
    # money and percent
    ("$3 + $4 =", " $7"),
    ("$3.50 + $4 =", " $7.50"),
    ("$3 - $4 =", " -$1"),
    ("4 * $3 =", " $12"),
    ("15% of 80 =", " 12"),
    ("2 x 12 =", " 24"),
    ("Natalia sold 48/2 =", " 24"),
    ("for a total of 3+4 =", " 7"),
    ("she pays $720 + $270.50 =", " $990.50"),
    ("15% of $80 =", " $12"),
    ("120% of 50 =", " 60"),
]

LEFT_TO_THE_MODEL = [
    # unknowns, names, functions
    "7x =",
    "x = 3 =",
    "x =",
    "3x + 5 =",
    "Steps: n - 1 =",
    "x^2 - 4 =",
    "x_1 + 2 =",
    "2a 3 + 4 =",
    "f(3) =",
    "f(3) + 4 =",
    "f (3 + 4) =",
    "x 3 + 4 =",
    "sin 30 + 2 =",
    "log 100 + 2 =",
    r"\log 100 + 2 =",
    "log_2(3 + 5) =",
    "length + 3 + 4 =",
    "the cosine of 3 + 4 =",
    "width - 3 =",
    "width -3 + 5 =",
    "10 cm + 5 =",
    "3 apples + 4 =",
    "gcd(12, 18) =",
    "max(3, 4 + 5) =",
    r"\pm\sqrt{49} =",
    "5 plus 3 + 4 =",
    "half of 3 + 5 =",
    "on day 1 * 2 =",
    "14, 400 / 80 =",
    "x = 5 **3 + 4 =",
    "a sum of x 3 + 4 =",
    "Step 2 - 3 + 4 =",
    r"2\pi + 3 =",
    "|3 - 5| =",
    "x is -3 + 4 =",
    "e^2 * 3 =",
    "xsqrt(49) =",
    "3sqrt(49) =",
    "a1 + 2 =",
    "1e5 + 2 =",
    "x! + 3 =",
    "two and 3/4 + 1/4 =",
    "-x + 3 * 2 =",
    # nothing to work out
    "5 =",
    "-5 =",
    "2.50 =",
    "11/12 =",
    "5/2 =",
    r"$\frac{5}{2} =",
    r"$-\frac{5}{2} =",
    "(5) =",
    "15% =",
    "$5 =",
    "=",
    "",
    "3 + 4",
    "3 + 4 =\n",
    "3 + 4 =  ",
    "3 + 4 ==",
    "3 + 4 <=",
    "3 + 4 = 7",
    "3 + 4 !=",
    # not a single reading
    "6/2(1+2) =",
    "6 / 2(1 + 2) =",
    "2^3(4) =",
    "2^(3)(4) =",
    "√9(4) =",
    "6/(1+2)(3) =",
    "2(1+2)/3(4) =",
    "2^3^2 =",
    "8^2/3 =",
    "3/4^2 =",
    "4^1/2 =",
    "-3^2 =",
    "6 / 2*3 =",
    "3 -4 =",
    "3- 4 =",
    "- 3 + 4 =",
    "--3 + 4 =",
    "3--4 =",
    "1/2/3 =",
    "100/5/2 =",
    "2 1/2 + 1 =",
    r"$2\frac{1}{2} + 1 =",
    r"$2 \frac{1}{2} + 1 =",
    r"$\frac{1}{2}^2 =",
    "3 + 4 5 =",
    "4!! =",
    "3 : 4 + 2 =",
    "3 . 4 + 2 =",
    "[3 + 4] * 2 =",
    "3 ± 4 =",
    "100 - 20% =",
    "5% * 2 =",
    "8 * 5% =",
    "80 * 15% =",
    "20% + 5% =",
    "100% - 20% =",
    "3 / 4 * 100% =",
    r"$\frac{3}{4} \times 100\% =",
    "5% / 2 =",
    "sqrt(9)% =",
    "20 + $3 =",
    "$4 * $3 =",
    "3 % 2 =",
    "4 /2 =",
    "2 (3 + 4) =",
    # dates, versions, ranges, numbers written otherwise
    "12/25/2024 =",
    "2024-11-15 =",
    "2024-01-05 =",
    "pages 10-20 =",
    "Score 3-5 =",
    "Python 3.11 + 1 =",
    "3.11.2 + 1 =",
    "10:30 + 2 =",
    "007 + 1 =",
    "12,5 + 3 =",
    "1,0000 + 1 =",
    "12,34 + 1 =",
    "1.000.000 + 1 =",
    "In base 5 we have 3 + 4 =",
    "Binary: 1 + 1 =",
    "Modulo 12: 7 + 8 =",
    "1 + 2 + ... + 10 =",
    "0.333... * 3 =",
    r"$1 + 2 + \cdots + 10 =",
    "7 // 2 =",
    "7//2 =",
    "x% of 80 =",
    "v1.2 + 3 =",
    "555-123-4567 =",
    # two numbers named before the expression, and words that take its first number
    "The sum of 5 and 3 * 2 =",
    "The product of 3 and 4 + 2 =",
    "The difference between 10 and 2 * 3 =",
    "the average of 3 and 5 + 4 =",
    "sine 30 + 2 =",
    "the factorial 4 * 2 =",
    "The square 3 + 4 =",
    "the reciprocal 4 / 2 =",
    # words that are not among those behind which a sum may begin
    "-3 and (5 + 6) / 2 =",
    "Great! 3 + 4 =",
    "3 *\n(4 + 5) =",
    "on Route 66 + 4 =",
    "add 5 to 3 * 2 =",
    "Is it not 3 + 4 =",
    "3 and 1/2 * 2 =",
    "x = 3 and 1/2 * 2 =",
    # impossible, irrational, without end, too large
    "5 / 0 =",
    "0^0 =",
    "0^(-1) =",
    "1.5 / 7 =",
    "sqrt(50) =",
    "sqrt(-4) =",
    "2^0.5 =",
    "9^99 =",
    "2^1000000000 =",
    "9^9^9 =",
    "(9^9)^(9^9) =",
    "21! =",
    "3.5! =",
    "(-3)! =",
    "10^30 =",
    "99999999999 * 99999999999 =",
    "1 / 7^12 / 7^12 =",
    "30 / 70 * 100% =",
    "$10 / $3 =",
    "(" * 5000 + "3 + 4 =",
    "3 + 4) =",
    "(3 + 4 =",
    "3 + =",
    "* 3 + 4 =",
    "3 + * 4 =",
    "() + 3 =",
    "sqrt() + 3 =",
    "1 + " * 200 + "1 =",
    "9" * 300 + " + 1 =",
    "\x00 + 3 =",
    "__import__('os') + 3 =",
    "3 + 4!=",
    "2**+1 =",
    "3 ** - 4 =",
    "√4*9 =",
    "√9! =",
    "3 + 4 ×× 5 =",
    "３ + 4 =",
    "٣ + 4 =",
]


@pytest.mark.parametrize("text, result", FOLLOWS)
def test_what_follows(notebook, text: str, result: str):
    assert notebook.exact_result(text) == result


@pytest.mark.parametrize("text", LEFT_TO_THE_MODEL)
def test_what_is_left_to_the_model(notebook, text: str):
    assert notebook.exact_result(text) is None


def test_worked_solutions_of_the_generator(notebook):
    """It answers nearly everywhere, with what the worked solution has there."""
    rng, sums, answered = random.Random(1), 0, 0
    for make in notebook.TOPICS.values():
        for _ in range(30):
            solution = make(rng)[1].rsplit("\nAnswer:", 1)[0]
            for equals in re.finditer(
                r"(?<=[\d)!]) =(?= -?\d)", solution
            ):  # an unknown on the left is not a sum
                if re.search(
                    r"[xyn]\)? [-+*] \(?-?\d+\)? =\Z", solution[: equals.end()]
                ):
                    continue
                result = notebook.exact_result(solution[: equals.end()])
                rest = solution[equals.end() :]
                assert result is None or re.match(
                    re.escape(result) + r"(?![\d/])", rest
                ), solution
                sums, answered = sums + 1, answered + (result is not None)
    assert answered > 0.98 * sums > 450, (answered, sums)


OPERATORS: dict[str, Callable] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
numbers = st.one_of(
    st.integers(0, 999).map(str),
    st.sampled_from(["0.5", "2.25", "1,200", "12.5", "3/4", "5/6"]),
)
sums = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner),
    max_leaves=5,
)


def work_out(tree: str | tuple) -> Fraction:
    """The value of a tree of operations, whatever its notation."""
    if isinstance(tree, str):
        return Fraction(tree.replace(",", ""))
    return OPERATORS[tree[1]](work_out(tree[0]), work_out(tree[2]))


def write_plain(tree: str | tuple, space: str) -> str:
    """A tree as text, every inner operation in brackets."""
    if isinstance(tree, str):
        return tree if space or "/" not in tree else f"({tree})"
    left, right = (write_plain(side, space) for side in tree[::2])
    left, right = (
        f"({text})" if isinstance(side, tuple) else text
        for side, text in ((tree[0], left), (tree[2], right))
    )
    return f"{left}{space}{tree[1]}{space}{right}"


def write_latex(tree: str | tuple) -> str:
    """A tree as a LaTeX formula; divisions of plain numbers are fractions."""
    if isinstance(tree, str):
        return re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", tree)
    if tree[1] == "/" and all(
        isinstance(side, str) and "/" not in side for side in tree[::2]
    ):
        return rf"\frac{{{tree[0]}}}{{{tree[2]}}}"
    left, right = (
        rf"\left({write_latex(side)}\right)"
        if isinstance(side, tuple)
        else write_latex(side)
        for side in tree[::2]
    )
    sign = {"*": r"\times", "/": r"\div"}.get(tree[1], tree[1])
    return f"{left} {sign} {right}"


def read_number(text: str) -> Fraction:
    """The value of a result in any notation the calculator writes."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    assert re.fullmatch(r" ?-?\d[\d,]*(?:\.\d+|/\d+)?", text), text
    return Fraction(text.replace(",", ""))


@settings(max_examples=150, deadline=None)
@given(sums, st.sampled_from(["plain", "tight", "latex"]))
def test_random_expressions_are_right_or_left_alone(notebook, tree, style: str):
    text = {
        "plain": write_plain(tree, " "),
        "tight": write_plain(tree, ""),
        "latex": "$" + write_latex(tree),
    }[style]
    result = notebook.exact_result(f"so {text} =")
    if result is not None:
        assert read_number(result) == work_out(tree)


def test_random_sums_without_brackets(notebook):
    """Several terms by the usual precedence; all of them are answered."""
    rng = random.Random(5)
    for _ in range(500):
        terms = [
            [rng.randint(0, 99) for _ in range(rng.choice((1, 1, 2, 3)))]
            for _ in range(rng.randint(2, 5))
        ]
        signs = ["+", *(rng.choice("+-") for _ in terms[1:])]
        value = sum(
            (1 if sign == "+" else -1) * math.prod(term)
            for sign, term in zip(signs, terms)
        )
        space, times = rng.choice([(" ", "*"), ("", "*"), (" ", "×"), (" ", r"\times")])
        products = [f"{space}{times}{space}".join(map(str, term)) for term in terms]
        text = products[0] + "".join(
            f"{space}{sign}{space}{text}" for sign, text in zip(signs[1:], products[1:])
        )
        if not re.search(r"\d-\d+-\d", text):  # this might be a date
            assert notebook.exact_result(f"{text}=") == str(value), text


@given(st.text(alphabet="0123456789+-*/^()!%$.,= xe√×\\frac{}\n", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_survived(notebook, text: str):
    result = notebook.exact_result(text + "=")
    assert result is None or len(result) <= notebook.LONGEST_RESULT + 4


# --- in generate


class Script(LogitsProcessor):
    """Writes given tokens into each row; then the model wishes for some tokens."""

    def __init__(self, prompt_length: int, rows: list[list[int]], wishes: list[int]):
        self.prompt_length, self.rows, self.wishes = prompt_length, rows, wishes

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step, scores = input_ids.shape[1] - self.prompt_length, scores.clone()
        scores[:, self.wishes] += 1000
        for row, tokens in enumerate(self.rows):
            if step < len(tokens):
                scores[row] = -torch.inf
                scores[row, tokens[step]] = 0
        return scores


@pytest.fixture(scope="module", params=["smollm2_folder", "sentencepiece_folder"])
def tokenizer(request):
    tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


@pytest.fixture(scope="module")
def model(tokenizer) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    return LlamaForCausalLM(config).eval()


def whole(tokenizer, text: str) -> list[int]:
    """A text as the tokenizer encodes it."""
    return tokenizer.encode(text, add_special_tokens=False)


def piecewise(tokenizer, text: str) -> list[int]:
    """The same text in other tokens: character by character."""
    before = {
        " ": "1"
    }  # a line break and a space may be one token, a digit and a letter never are
    texts = [(before.get(character, "\n"), character) for character in text]
    return [
        token
        for start, text in texts
        for token in whole(tokenizer, start + text)[len(whole(tokenizer, start)) :]
    ]


SCRIPTS = [
    ("12 * 12 =", " 144"),
    ("12 * 12 = ", "144"),
    ("so 12*12=", "144"),
    (r"We have $\frac{1}{2} + \frac{1}{3} =", r" \frac{5}{6}"),
    ("1,200 + 300 =", " 1,500"),
    ("5 / 2 =", " 2.5"),
    ("Multiply first: 3 - 10 =", " -7"),
    ("$3.50 + $4 =", " $7.50"),
    ("6 × 7 =", " 42"),
    ("22/24 =", " 11/12"),
]
PROMPTS = [
    "What is 2 + 2 =",
    "Calculate 7 * 8. A longer prompt, so that the rows are padded on the left =",
    "9 - 4 = ",
]


def write(
    notebook,
    model,
    tokenizer,
    rows: list[list[int]],
    wishes: list[int],
    new_tokens: int = 8,
    **kwargs,
) -> list[str]:
    """What the model writes behind the prompts, one script a row."""
    prompts = [PROMPTS[row % len(PROMPTS)] for row in range(len(rows))]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    length = batch["input_ids"].shape[1]
    processors = [Script(length, rows, wishes), notebook.Calculator(tokenizer, length)]
    steps = max(map(len, rows)) + new_tokens
    output = model.generate(
        **batch, max_new_tokens=steps, logits_processor=processors, **kwargs
    )
    return [
        tokenizer.decode(row, skip_special_tokens=True) for row in output[:, length:]
    ]


GREEDY, SAMPLING = {"do_sample": False}, {"do_sample": True, "temperature": 2.0}


@pytest.mark.parametrize(
    "encode, wish, kwargs",
    [
        (whole, "57", GREEDY),
        (piecewise, ".5", GREEDY),
        (whole, "/2", SAMPLING),
        (piecewise, ",5", SAMPLING),
    ],
)
def test_every_row_gets_its_result_whole_and_ended(
    notebook, model, tokenizer, encode, wish: str, kwargs: dict
):
    """Rows of different length; after the script the model wants only more digits."""
    rows = [encode(tokenizer, text) for text, _ in SCRIPTS]
    answers = write(
        notebook, model, tokenizer, rows, piecewise(tokenizer, wish), **kwargs
    )
    for answer, (text, result) in zip(answers, SCRIPTS):
        written = answer.removeprefix(" ")
        assert written.startswith(text + result), (answer, text)
        assert not re.match(r"[.,]?\d|[/^]", written.removeprefix(text + result)), (
            answer
        )


def test_the_prompt_is_not_continued(notebook, model, tokenizer):
    """The prompts end in sums, but nothing is forced before the answer has one."""
    batch = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    calculator = notebook.Calculator(tokenizer, batch["input_ids"].shape[1])
    scores = torch.randn(3, len(tokenizer))
    assert torch.equal(calculator(batch["input_ids"], scores), scores)
    with_it = model.generate(
        **batch, max_new_tokens=12, do_sample=False, logits_processor=[calculator]
    )
    assert torch.equal(
        with_it, model.generate(**batch, max_new_tokens=12, do_sample=False)
    )


def test_a_row_that_has_ended_stays_ended(notebook, model, tokenizer):
    rows = [
        [*whole(tokenizer, "3 + 4 ="), tokenizer.eos_token_id],
        whole(tokenizer, "Now we see that 12 * 12 ="),
    ]
    batch = tokenizer(["a", "a longer one"], return_tensors="pt", padding=True)
    length = batch["input_ids"].shape[1]
    calculator = notebook.Calculator(tokenizer, length)
    first_script = [Script(length, rows, []), calculator]
    ended = model.generate(
        **batch,
        max_new_tokens=20,
        do_sample=False,
        logits_processor=[calculator, first_script[0]],
    )
    assert (
        tokenizer.decode(ended[0, length:], skip_special_tokens=True).removeprefix(" ")
        == "3 + 4 ="
    )
    assert set(ended[0, length + len(rows[0]) :].tolist()) <= {tokenizer.pad_token_id}


def test_a_long_answer_is_read_at_its_end_only(notebook, model, tokenizer):
    """An expression that was cut is left to the model."""
    prompt = whole(tokenizer, "Hello")
    calculator = notebook.Calculator(tokenizer, len(prompt))
    scores = torch.zeros(1, len(tokenizer))
    for text, forced in (
        ("words. " * 100 + "3 + 4 =", True),
        ("1 + " * 200 + "3 =", False),
    ):
        ids = torch.tensor([prompt + whole(tokenizer, text)])
        assert (
            calculator(ids, scores).isinf().sum() == len(tokenizer) - 1
        ).item() is forced


def test_with_a_streamer(notebook, model, tokenizer):
    batch = tokenizer(["What is it?"], return_tensors="pt")
    length = batch["input_ids"].shape[1]
    streamer = TextIteratorStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True
    )
    script = Script(
        length, [whole(tokenizer, "It is 12 * 12 =")], piecewise(tokenizer, "5")
    )
    processors = [script, notebook.Calculator(tokenizer, length)]
    model.generate(
        **batch,
        max_new_tokens=24,
        do_sample=False,
        logits_processor=processors,
        streamer=streamer,
    )
    assert re.match(r" ?It is 12 \* 12 = 144(?![\d.,]*\d)", "".join(streamer))


def test_tokens_that_would_go_on_with_a_number(notebook, tokenizer):
    """The tokens against the text that comes out when each stands behind a number."""
    forbidden = set(notebook.number_tokens(tokenizer))
    number = whole(tokenizer, "= 14")
    for token, text in enumerate(
        tokenizer.batch_decode([[*number, token] for token in range(len(tokenizer))])
    ):
        assert (token in forbidden) == bool(re.search(r"14(?:[.,]?\d|[/^])", text)), (
            text
        )


# --- to refuse or to answer


class Beginnings(LogitsProcessor):
    """Gives the first tokens the probabilities of the script, later ones the last's."""

    def __init__(self, prompt_length: int, rows: list[dict[int, float]]):
        self.prompt_length, self.rows = prompt_length, rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        first, scores = (
            input_ids.shape[1] == self.prompt_length,
            torch.full_like(scores, -torch.inf),
        )
        for row in range(len(scores)):
            for token, probability in self.rows[row if first else -1].items():
                scores[row, token] = (
                    math.log(probability) + 3
                )  # logits need not be normalised
        return scores


@pytest.mark.parametrize("kwargs", [GREEDY, {"do_sample": True, "temperature": 0.1}])
def test_a_refusal_needs_the_majority(notebook, model, tokenizer, kwargs: dict):
    """The likeliest first token alone does not do; the rule is about no other token."""
    line_break = whole(tokenizer, "\n")
    refusal, the, first = (
        whole(tokenizer, "\n" + text)[len(line_break)]
        for text in (notebook.REFUSAL_START, "The", "First")
    )
    rows = [
        {refusal: 0.45, the: 0.4, first: 0.15},
        {refusal: 0.6, the: 0.4},
        {refusal: 0.45, the: 0.3, first: 0.25},
    ]
    batch = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    length = batch["input_ids"].shape[1]
    processors = [
        Beginnings(length, rows),
        *notebook.logits_processors(tokenizer, length, calculator=True),
    ]
    torch.manual_seed(0)
    output = model.generate(
        **batch, max_new_tokens=2, logits_processor=processors, **kwargs
    )
    assert output[:, length].tolist() == [the, refusal, the]
    assert kwargs["do_sample"] or output[:, length + 1].tolist() == [refusal] * 3
