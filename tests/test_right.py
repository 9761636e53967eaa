"""Is an answer right: what is read out of a text, what is equal, what is safe."""

import itertools
import json
import re

import pytest
from conftest import SHARED_DATA

# What it is about, reference, model's text, verdict. A reference without "Answer:" is a
# whole text, too.
PAIRS = r"""
fraction | Answer: 3/4 | The sum is 3/4. | right
fraction, other form | Answer: 3/4 | So we get $\frac{6}{8}$. | right
fraction as decimal | Answer: 3/4 | Answer: 0.75 | right
fraction, LaTeX short | Answer: $\frac12$ | It equals 1/2. | right
fraction, wrong | Answer: 3/4 | The sum is 4/3. | wrong
fraction, rounded | Answer: 1/3 | It is 0.33. | open
fraction, six decimals | Answer: 1/3 | It is 0.333333. | open
mixed number | Answer: 2.5 | He needs 2 1/2 cups. | right
mixed number is no product | Answer: 1 | He needs 2 1/2 cups. | wrong
decimal | Answer: 0.5 | That gives .5 | right
decimal, wrong | Answer: 0.5 | That gives 5. | wrong
decimal before a full stop | Answer: 3.5 | The mean is 3.5. I hope this helps! | right
unit in the reference | Answer: 12 square cm | The area is 12. | right
unit in the answer | Answer: 12 | The area is $12 \text{ cm}^2$. | open
unit of one letter | Answer: 36 km | The distance is 36 m. | wrong
unit with a number in it | Answer: 20 | The area is 20 m^2. | open
speed | Answer: 5 | The speed is 5 km/h. | open
things | Answer: 5 books | Each child gets 5 books. | right
things, wrong number | Answer: 5 books | Each child gets 6 books. | wrong
degrees | Answer: 77 degrees | The third angle is $77^\circ$. | right
degrees as a sign | Answer: 77 degrees | The third angle is 77°. | right
currency | Answer: 12 dollars | It costs $12. | right
currency with cents | Answer: 12 | It costs $12.00. | right
currency, wrong | Answer: 12 dollars | It costs $120. | wrong
percent | Answer: 50% | It is 50%. | right
percent as decimal | Answer: 50% | The probability is 0.5. | right
decimal as percent | Answer: 0.5 | The probability is 50%. | right
percent sign missing | Answer: 50% | It is 50. | open
percent, in words | Answer: 12.5 | It is 12.5 percent. | wrong
percent, LaTeX | Answer: $12.5\%$ | It is 1/8. | right
percent, wrong | Answer: 50% | It is 0.5%. | wrong
percent, not a hundred times | Answer: 0.5 | It is 50. | wrong
boxed | Answer: 5 | Thus $x = 5$ and \boxed{5} | right
boxed reference | We find $\boxed{\frac{3}{4}}$. This is it. | It is 0.75. | right
boxed, the last counts | Answer: 5 | \boxed{3} is wrong, so \boxed{5}. | right
boxed before others | Answer: 5 | \boxed{5} since 2 + 3 is 5 and 7 is not. | right
boxed, nested | Answer: $\sqrt{2}/2$ | $\boxed{\frac{\sqrt{2}}{2}}$ | right
boxed, wrong | Answer: 5 | 2 + 3 = 5, so \boxed{6} | wrong
two roots | Answer: x = 2 or x = 3 | Answer: x = 2 or x = 3 | right
two roots, other order | Answer: x = 2 or x = 3 | Therefore, x = 3 or x = 2. | right
two roots as a list | Answer: x = 2 or x = 3 | The solutions are 3 and 2. | right
two roots, one letter | Answer: x = 2 or x = 3 | So $x = 2, 3$. | right
roots, two formulas | Answer: x = 2 or x = 3 | They are $x_1 = 2$ and $x_2 = 3$. | right
two roots, as a set | Answer: x = 2 or x = 3 | $x \in \{3, 2\}$. | right
two roots, one missing | Answer: x = 2 or x = 3 | Therefore, x = 2. | wrong
two roots, one wrong | Answer: x = 2 or x = 3 | Therefore, x = 2 or x = -3. | wrong
one root, one too many | Answer: x = 2 | Therefore, x = 2 or x = 3. | wrong
unknown is not needed | Answer: x = 5 | The solution is 5. | right
unknown is not asked for | Answer: 5 | So $n = 5$. | right
an equation is not solved | Answer: x = 10 | So 2x = 10. | open
a chain of equations | Answer: x = 5 | $x = \frac{15}{3} = 5$ | right
a system | Answer: x = 2, y = 3 | So y = 3 and x = 2. | right
a system, as a point | Answer: x = 2, y = 3 | The solution is $(x, y) = (2, 3)$. | right
a system, swapped | Answer: x = 2, y = 3 | So x = 3, y = 2. | wrong
a system, swapped point | Answer: x = 2, y = 3 | The solution is (3, 2). | wrong
a system, half | Answer: x = 2, y = 3 | So x = 2. | open
a system, both alike | Answer: x = 2, y = 2 | The solution is (3, 3). | wrong
set | Answer: $\{1, 2, 3\}$ | The set is {3, 2, 1}. | right
set of fractions | Answer: $\{1, \frac{1}{2}\}$ | They are 0.5 and 1. | right
set, element missing | Answer: $\{1, 2, 3\}$ | The set is \{1, 2\}. | wrong
point | Answer: $(\frac{1}{2}, 3)$ | The point is (0.5, 3). | right
interval | Answer: $(2, 5]$ | The solution is $(2, 5]$. | right
interval, other bracket | Answer: $(2, 5]$ | The solution is $[2, 5)$. | wrong
interval, swapped | Answer: $(2, 5)$ | The solution is $(5, 2)$. | wrong
interval as inequality | Answer: $(2, 5]$ | We have $2 < x \leq 5$. | right
interval is no pair of roots | Answer: x = 2 or x = 5 | The solution is (2, 5). | open
inequality | Answer: x > 3 | So $3 < x$. | right
inequality, not strict | Answer: x > 3 | So x ≥ 3. | wrong
inequality as interval | Answer: $x > 3$ | The solution is $(3, \infty)$. | right
union | Answer: $(-\infty, 2) \cup (3, \infty)$ | It is (-∞, 2) ∪ (3, ∞). | right
thousands | Answer: 48,000 | The population was 48000. | right
thousands in the answer | Answer: 1234567 | It is 1,234,567. | right
thousands, LaTeX | Answer: 1200 | It is $1{,}200$. | right
thousands, wrong | Answer: 1,200 | It is 1.2. | wrong
an earlier number | Answer: 7 | We have 5 and 2. 5 + 2 = 7. | right
an earlier number is right | Answer: 5 | We have 5 and 2. 5 + 2 = 7. | wrong
a number behind the value | Answer: 33 | There are 33 ounces in 3 boxes. | open
a mark, then a remark | Answer: 7 | Answer: 7 (we added 3 and 4) | right
a mark, a sentence | Answer: 7 | The answer is 7. Ask again, 24 hours a day! | right
a mark on the line before | Answer: 7 | **Final answer:**<br><br>$$7$$ | right
gsm8k's mark | Answer: 72 | 48 + 24 = 72<br>#### 72 | right
bold | Answer: 7 | The sum of the numbers:<br>**7** | right
thanks at the end | Answer: 7 | So the sum is 7. I hope this helps! | right
steps with numbers | Answer: 7 | 1. Add 3 and 4 to get 7.<br>2. Done. | right
display formula | Answer: $\frac{3}{4}$ | So:<br>\[<br>x = \frac{3}{4}<br>\] | right
enthusiasm is no factorial | Answer: 7 | The sum is 7! | right
factorial | Answer: 120 | It is $5!$. | open
times as a letter | Answer: 162 | 27% of 600 is 0.27 x 600 = 162. | right
plus or minus | Answer: x = 2 or x = -2 | So $x = \pm 2$. | right
plus or minus, sign | Answer: x = -1 or x = 5 | x = 2 ± 3. | open
a value, rewritten | Answer: 1/4 | $\frac{2}{8}$ is equivalent to $\frac{1}{4}$. | right
no answer at all | Answer: 7 | I do not know. | wrong
empty | Answer: 7 | | wrong
a refusal | Answer: 7 | Sorry, I am a maths tutor. Ask me to add 3 and 4. | wrong
cut in a sentence | Answer: 7 | 3 + 4 = 7, and then we have to | wrong
cut in a formula | Answer: 7 | 3 + 4 = 7. So 7 + | wrong
cut in a number | Answer: 5 | We divide 50 by 20. So look at the division of 5 | wrong
cut in a product | Answer: 2 | So, there are 2 x | open
not cut, only no full stop | Answer: 7 | 3 + 4 = 7 | right
cut behind a mark | Answer: 7 | Answer: 7. This is because | right
negative | Answer: -24 | The determinant is -24. | right
negative, typographic minus | Answer: -24 | The determinant is −24. | right
negative, sign missing | Answer: -24 | The determinant is 24. | wrong
square root | Answer: $2\sqrt{2}$ | It is sqrt(8). | right
square root, sign | Answer: $2\sqrt{2}$ | It is 2√2. | right
square root, decimal | Answer: $2\sqrt{2}$ | It is 2.83. | open
pi | Answer: $9\pi$ | The area is 9 pi. | right
pi, rounded | Answer: $\pi$ | It is 3.14. | open
power | Answer: 1024 | It is 2^10. | open
power, as a program | Answer: 8 | It is 2**3. | open
scientific | Answer: 30000 | It is $3 \times 10^4$. | right
ratio | Answer: 3:4 | The ratio is 3/4. | open
polynomial, order | Answer: $12x - 1$ | $f'(x) = -1 + 12x$ | right
polynomial, factors | Answer: $6x^2 + 3x$ | We get $3x(2x + 1)$. | right
polynomial, wrong sign | Answer: $12x - 1$ | $f'(x) = 12x + 1$ | wrong
polynomial, plain | Answer: $2x^2 + 3$ | The result is 2x^2 + 3. | right
derivative, Leibniz | Answer: $12x - 1$ | $\frac{d}{dx}(6x^2 - x) = 12x - 1$ | right
integral | Answer: $x^2 - 3x + C$ | $\int (2x - 3) \, dx = x^2 - 3x + C$ | right
integral, constant missing | Answer: $x^2 - 3x + C$ | The integral is x^2 - 3x. | right
integral, wrong | Answer: $x^2 - 3x + C$ | The integral is $2x^2 - 3x + C$. | wrong
function | Answer: $\sin(2x)$ | It is sin(2x). | right
exponential | Answer: $e^{2x}$ | It is e^(2x). | right
matrix | Answer: $\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$ | [[1,2],[3,4]] | right
line | Answer: $y = 2x + 1$ | The line is y = 1 + 2x. | right
line, wrong | Answer: $y = 2x + 1$ | The line is y = 2x. | wrong
circle is an equation | Answer: $x^2 + y^2 = 4$ | It is $x^2 + y^2 - 4 = 0$. | out
circle is not its number | Answer: $x^2 + y^2 = 4$ | It is 4. | out
reference in a sentence | So, the value of n is 275. | It is 275. | right
reference of a teacher | Yes, the correct answer is \(0\). Well done. | It is 0. | right
reference: a sentence | Answer: It is a number of parts out of 100 | It is 100. | out
reference: a remark | Answer: It is 24, as we know from above | 24 | out
reference: two numbers | Answer: 12 boys and 15 girls | 12 | out
reference: a word | Answer: yes | yes | out
reference: a letter | Answer: B | B | out
reference: nothing | This completes the proof. | 7 | out
reference: a number by the way | Look at chapter 7 | 7 | out
reference: a refusal | Sorry, I am a maths tutor. Ask me to solve x + 5 = 20. | 15 | out
reference: unbalanced | Answer: $\frac{3}{4$ | 3/4 | out
question said again | Answer: 22/21 | The answer is $\frac{5}{7} + \frac{1}{3}$. | open
product again | Answer: 3/28 | The answer is $\frac{3}{4} \times \frac{1}{7}$. | open
integral again | Answer: 28 | The answer is $\int_0^2 (16x - 2) dx$. | open
integral, again | Answer: $6x^2 - 6x + C$ | It is $\int (12x - 6) \, dx$. | open
sum as reference | Answer: $2 + 3$ | It is $3 + 2$. | right
""".strip().splitlines()
VERDICTS = {
    "right": ["right"],
    "wrong": ["wrong", "no answer"],
    "open": ["cannot tell"],
    "out": [None],
}


def test_pairs_of_texts(notebook):
    cases = [
        [cell.strip().replace("<br>", "\n") for cell in re.split(r" \|(?= )", line)]
        for line in PAIRS
    ]
    verdicts = notebook.judge_answers(
        [case[1] for case in cases], [case[2] for case in cases]
    )
    mistaken = [
        case
        for case, verdict in zip(cases, verdicts)
        if verdict not in VERDICTS[case[3]]
    ]
    assert not mistaken and len(cases) >= 60


HOSTILE = [
    "9^{9^{9^9}}",
    "$100000000!$",
    "(" * 100_000 + "7" + ")" * 100_000,
    "(" * 90 + "8" + ")" * 90,
    r"\int_0^{10^9} x^x \sin(x^3) dx",
    r"\boxed{" * 20_000,
]


def test_a_hostile_expression_is_wrong_and_the_list_goes_on(notebook):
    predictions = [
        text
        for expression in HOSTILE
        for text in (f"Answer: {expression}", "Answer: 7")
    ]
    verdicts = notebook.judge_answers(["Answer: 7"] * len(predictions), predictions)
    assert verdicts[1::2] == ["right"] * len(HOSTILE) and "right" not in verdicts[::2]


def test_a_hostile_reference_is_never_right(notebook):
    references = [f"Answer: {expression}" for expression in HOSTILE[::2]] + [
        "Answer: 7"
    ]
    verdicts = notebook.judge_answers(references, ["Answer: 7"] * len(references))
    assert "right" not in verdicts[:-1] and verdicts[-1] == "right"


@pytest.mark.parametrize("strict", [True, False])
def test_any_text_can_be_read(notebook, strict):
    """final_answer runs outside `run_apart`: it must neither fail nor take long."""
    for piece in [
        "",
        " ",
        *"\n$\\{½",
        "**",
        "Answer:",
        "answer is\n",
        "####",
        "= ",
        r"\text{",
        "1,",
        "a'",
        "1. ",
    ]:
        for count in (1, 3, 30_000):
            value = notebook.final_answer(piece * count, strict=strict)
            assert value is None or len(value) <= 200


def numbers_of(reference: str) -> list[str]:
    """The numbers of the final answer: 3 pens are 3."""
    return re.findall(r"\d+", reference.rpartition("Answer: ")[2])


def test_references_of_the_generator(notebook):
    rows = list(itertools.islice(notebook.make_problems(seed=77), 200))
    references = [row["answer"] for row in rows]
    verdicts = notebook.judge_answers(references, references)
    for row, verdict in zip(rows, verdicts):
        known = row["topic"] in notebook.COMPUTABLE
        right = (
            [None]
            if row["topic"] == "concepts"
            else ["right"]
            if known
            else [None, "right"]
        )
        assert verdict in right, row
    others = references[1:] + references[:1]
    assert all(
        numbers_of(reference) == numbers_of(other) or verdict != "right"
        for reference, other, verdict in zip(
            references, others, notebook.judge_answers(references, others)
        )
    )


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="needs the rows in shared/data")
def test_references_of_gsm8k(notebook):
    rows = [
        json.loads(line)
        for line in (SHARED_DATA / "gsm8k_train.jsonl").read_text().splitlines()[:300]
    ]
    for row in rows:
        reference = notebook.parse_record(row)[-1]["content"]
        number = row["answer"].rpartition("#### ")[2]
        assert (
            notebook.final_answer(reference, strict=True)
            == notebook.final_answer(reference)
            == number
        )
