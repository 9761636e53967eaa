"""Which answers are refusals: ours, other models' and what only sounds like one."""

import itertools

import pytest

REFUSALS = """
Sorry, I am a maths tutor, so I can only do mathematics. Ask me to solve 3x + 5 = 20.
Sorry, I am a maths tutor and cannot help with that.
Sorry, I am a maths tutor, and this is not maths. Ask me to find gcd(12, 18).
I'm sorry, but I can't help with that.
I’m sorry, but I can’t help with that.
I'm sorry, but I cannot assist with that request.
I am sorry, I cannot answer this question.
As an AI language model, I cannot provide medical advice.
As an AI language model, I don't have access to real-time weather.
I don't have access to real-time information, so I can't tell you who won.
I do not have personal opinions about politics.
As an AI, I don't have feelings, but I'm here to assist you with maths.
I'm unable to book flights.
I am not able to browse the internet.
I'm not qualified to give medical advice. Please see a doctor.
I'm afraid I can't do that.
Unfortunately, I cannot help you with recipes.
I won't write that for you.
I can only help with mathematics.
I only answer maths questions.
I'm only able to help with math problems.
I'm only here to talk about mathematics.
That is outside my area of expertise.
This is beyond my abilities.
That is not a mathematics question.
This question is not about maths. Please ask me something else.
Your question isn't related to mathematics.
Thank you for your question! Unfortunately, I am not able to discuss politics.
Sorry, we cannot assist with this topic.
I could not provide you with a forecast. Please look at a weather site.
I will not give an opinion on elections.
I don't really have any information about that.
I CAN'T HELP WITH THAT
I can not talk about that. What else would you like to know?
""".strip().splitlines()

ANSWERS = """
Sorry, I made a mistake: 2 + 2 = 4.
I'm sorry for the confusion. The answer is 7.
I apologise, the sum is 12.
The equation cannot be solved.
You cannot divide by zero, because no number times 0 gives 5.
We cannot factor this further.
We can't have a negative length, so x = 3.
I cannot divide 7 by 2 without a remainder.
The weather in Rome is sunny today.
Here is a recipe for pizza: take flour and water.
Paris is the capital of France.
I don't know.
I can help you with that! The sum of 3 and 4 is 7.
I have no doubt that 7 is prime.
51 is not prime, because 3 * 17 = 51.
This is not a square number.
Pi is not the ratio of two whole numbers.
Mathematics is only useful if you practise.
I am fine, thank you. How are you?
I love cats!
The tutor cannot help Amina, so she solves it herself: x = 4.
No. A rectangle is not always a square.
Only 2 is an even prime.
7

I'm sorry, but I can't give the result at once. Let's go step by step. 3 + 4 is 7.
I can't help with the drawing, but the area is 3 * 4 = 12 and 12 + 2 = 14.
I don't have a calculator. Answer: 42
As an AI language model, I don't have taste buds. Here is a recipe: mix flour and water.
As an AI language model, I do not have a body, but this helps:
""".strip("\n").splitlines()
ANSWERS[-1] += "\n1. Drink water.\n2. Sleep."  # first a refusal, then the advice
ANSWERS.append(
    "I can't predict the future. "
    + "Houses will cost more in the north and less in the south. " * 8
)


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_seen(notebook, text):
    assert notebook.declines(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_not_taken_for_a_refusal(notebook, text):
    assert not notebook.declines(text)


def test_what_the_tutor_is_trained_on(notebook):
    """All its refusals decline, none of its solutions does."""
    refusals, solutions = (
        [row["answer"] for row in itertools.islice(rows, 400)]
        for rows in (notebook.make_off_topic(seed=3), notebook.make_problems(seed=3))
    )
    assert all(map(notebook.declines, refusals)) and not any(
        map(notebook.declines, solutions)
    )
