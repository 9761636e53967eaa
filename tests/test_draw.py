"""Drawings: coordinates are read back, impossible figures explained, others None."""

import math
import sys

import numpy as np
import pytest


def labels(figure):
    """What is written into a drawing."""
    return {text.get_text().strip() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    "question, lengths, shown",
    [
        (
            "A triangle has sides 3, 4 and 5. What is its area?",
            [3, 4, 5],
            {"3", "4", "5"},
        ),
        (
            "Draw a triangle with sides 7 cm, 5 cm and 3 cm",
            [3, 5, 7],
            {"7 cm", "5 cm", "3 cm"},
        ),
        (
            "A right triangle has legs 6 and 8. How long is the hypotenuse?",
            [6, 8, 10],
            {"6", "8", "10"},
        ),
        (
            "right-angled triangle with legs of 1 and 3",
            [1, 3, 10**0.5],
            {"1", "3", "≈ 3.16"},
        ),
        (
            "What is the area of a rectangle with sides of 3 cm and 8 cm?",
            [3, 3, 8, 8],
            {"3 cm", "8 cm"},
        ),
        (
            r"Find the perimeter of a rectangle with length $2.5$ m and width $2$ m",
            [2, 2, 2.5, 2.5],
            {"2.5 m", "2 m"},
        ),
        ("What is the diagonal of a square with side 4?", [4, 4, 4, 4], {"4"}),
    ],
)
def test_figures_have_their_measures_and_name_them(notebook, question, lengths, shown):
    figure = notebook.draw_question(question)
    points = figure.axes[0].patches[0].get_xy()[:-1]
    assert np.allclose(
        sorted(np.hypot(*(points - np.roll(points, 1, axis=0)).T)), sorted(lengths)
    )
    assert shown <= labels(figure)


@pytest.mark.parametrize(
    "question", ["a circle with radius 2.5 cm", "Draw a circle with a diameter of 5 cm"]
)
def test_a_circle(notebook, question):
    figure = notebook.draw_question(question)
    assert figure.axes[0].patches[0].radius == 2.5
    assert labels(figure) == {"r = 2.5 cm"}


@pytest.mark.parametrize(
    "question, function, marks",
    [
        (
            "plot y = x^2 - 4x + 3",
            lambda x: x**2 - 4 * x + 3,
            {"(1, 0)", "(3, 0)", "(2, -1)", "(0, 3)"},
        ),
        ("graph sin x", math.sin, set()),
        (
            "Can you draw the function f(x) = 1/x please?",
            lambda x: 1 / x if x else math.nan,
            set(),
        ),
        (
            r"Sketch the graph of $y = \frac{x}{2} - 1$.",
            lambda x: x / 2 - 1,
            {"(2, 0)", "(0, -1)"},
        ),
        ("Plot √x from 0 to 9", math.sqrt, set()),
        ("plot y=5", lambda x: 5, {"(0, 5)"}),
        ("Draw the graph of y = |x - 2| for me", lambda x: abs(x - 2), set()),
        (
            "plot x^2 - 2",
            lambda x: x**2 - 2,
            {"(≈ 1.41, 0)", "(≈ -1.41, 0)", "(0, -2)"},
        ),
        ("What does the graph of y = x^2 look like?", lambda x: x**2, {"(0, 0)"}),
    ],
)
def test_functions_have_their_values_and_name_where_they_turn(
    notebook, question, function, marks
):
    figure = notebook.draw_question(question)
    axes = figure.axes[0]
    x, y = axes.lines[0].get_data()
    real = np.isfinite(y)
    assert real.mean() > 0.9 and np.allclose(
        y[real], [function(place) for place in x[real]]
    )
    low, high = axes.get_ylim()
    assert low <= 0 <= high and ((y[real] >= low) & (y[real] <= high)).mean() > 0.2
    assert labels(figure) == marks
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


@pytest.mark.parametrize(
    "question, ends",
    [
        ("plot x^2 from -2 to 5", (-2, 5)),
        ("Plot 2x + 1 for -3 <= x <= 3", (-3, 3)),
        ("plot sin(x) from 0 to 2π", (0, 2 * math.pi)),
    ],
)
def test_from_where_to_where(notebook, question, ends):
    assert np.allclose(notebook.draw_question(question).axes[0].get_xlim(), ends)


@pytest.mark.parametrize(
    "question, poles", [("plot tan x", 4), ("plot 1/x", 1), ("plot 1/(x^2 - 4)", 2)]
)
def test_no_line_crosses_a_pole(notebook, question, poles):
    _, y = notebook.draw_question(question).axes[0].lines[0].get_data()
    assert len(np.flatnonzero(np.isnan(y[1:-1]))) == poles


@pytest.mark.parametrize(
    "question, reason",
    [
        ("Draw a triangle with sides 1, 2 and 9", "1 + 2 = 3 is not more than 9"),
        ("Is there a triangle with sides 2, 3 and 5?", "2 + 3 = 5 is not more than 5"),
        ("Draw a rectangle with sides 0 and 4", "greater than 0"),
    ],
)
def test_impossible_figures_are_explained(notebook, question, reason):
    with pytest.raises(ValueError, match="^[A-Z]") as explained:
        notebook.draw_question(question)
    assert reason in str(explained.value)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What is 3/4 + 5/6?",
        "Solve x^2 - 4x + 3 = 0",
        "Find the derivative of sin x",
        "How do I draw a cat?",
        "plot __import__('os').system('x')",
        "plot x\u202e",
        "What is a triangle?",
        "draw " * 10**5,
        "A rectangle has an area of 20 and a width of 4. How long is it?",
        "A rectangle has perimeter 20 and length 6.",
        "What is the third angle of a triangle with angles of 50 and 60 degrees?",
        "What is the area of a triangle with base 6 cm and height 4 cm?",
        "How many squares with side 2 fit into a rectangle of 4 by 6?",
        "A semicircle has radius 6 cm. Find its area.",
        "The length of a rectangle is 3 cm more than its width of 5 cm.",
        "A rectangle measures 2 m by 50 cm.",
        "The length of a rectangle is 2 times its width of 5 cm.",
        "A triangle has sides 3 m, 400 cm and 5 m.",
        "A rectangle has a length of 6 cm and its area equals 30.",
        "A circle's radius is increased by 3 cm.",
        "A rectangle has length 12 and a diagonal that is 13 long.",
        "A triangle has sides 3, 4 and perimeter 12.",
        "A bag holds 3 balls. You draw one. What is the probability of a red one?",
        "A right triangle has leg 5 and hypotenuse 13. How long is the other leg?",
    ],
)
def test_nothing_to_draw(notebook, question):
    assert notebook.draw_question(question) is None


@pytest.mark.parametrize(
    "question, words",
    [
        ("Plot x^2 - 2x", ["graph of x^2 - 2x", "(0, 0)", "(1, -1)", "(2, 0)"]),
        ("Draw a circle with radius 3 cm", ["circle", "r = 3 cm"]),
        ("a triangle with sides 3, 4 and 5", ["triangle", "3", "4", "5"]),
        ("a square with side 2 m", ["rectangle", "2 m"]),
    ],
)
def test_a_drawing_is_described_in_words(notebook, question, words):
    described = notebook.describe_drawing(notebook.draw_question(question))
    assert described[0].isupper() and described.endswith(".")
    assert all(word in described for word in words)


@pytest.mark.parametrize(
    "question",
    [
        "Draw a hexagon",
        "can you draw a cat?",
        "Please plot sin(x) and cos(x).",
        "plot x^2 + y^2 = 1",
        "plot xy",
        "plot ∛x",
        "plot 9^9^9^9 x",
        "plot √(-x^2 - 1)",
        "plot " + "(" * 200,
        "plot x^2 from 5 to -5",
        "Sketch a triangle with sides 5 and 8 and an angle of 60°",
    ],
)
def test_a_request_that_cannot_be_drawn_is_told_what_can(notebook, question):
    with pytest.raises(ValueError, match="I draw functions of x, triangles.*circles"):
        notebook.draw_question(question)


def test_labels_of_a_figure_do_not_touch_it(notebook):
    """Seen on a canvas: no text of a triangle lies over its sides."""
    for sides in ("3, 4 and 5", "10, 10 and 2", "7, 5 and 3"):
        figure = notebook.draw_question(f"a triangle with sides {sides}")
        figure.canvas.draw()
        outline = figure.axes[0].patches[0]
        path = outline.get_transform().transform_path(outline.get_path())
        for text in figure.axes[0].texts:
            assert not path.intersects_bbox(text.get_window_extent(), filled=True)


def test_drawings_can_be_saved_and_leave_pyplot_alone(notebook, tmp_path):
    for question in (
        "plot x^3 - 3x",
        "plot |x - 1| + e^x",
        "a triangle with sides 10, 10 and 2",
    ):
        notebook.draw_question(question).savefig(tmp_path / "picture.png")
    assert sys.modules["matplotlib.pyplot"].get_fignums() == []
