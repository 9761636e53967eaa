"""Answers checked by SymPy: questions that can be decided, doubtful ones, the notebook's own problems, hostile texts."""

import os
import pathlib
import re
import time
from itertools import islice

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# ruff: noqa: E501
# question :: a right answer :: a wrong answer (⏎ is a line break), written without a look at the code
DECIDABLE = r"""
What is 17 + 28 * 3? :: First 28 * 3 = 84, then 17 + 84 = 101. Answer: 101 :: 17 + 28 = 45, 45 * 3 = 135. Answer: 135
calculate 3/4 + 5/6 :: The common denominator is 12: 9/12 + 10/12 = 19/12. Answer: 19/12 :: 3/4 + 5/6 = 8/10 = 4/5. Answer: 4/5
whats 144 divided by 12 :: 144 divided by 12 is 12. :: 144 divided by 12 is 14.
5 × (8 − 3)² ÷ 25 :: (8 − 3)² = 25, so 5 × 25 ÷ 25 = 5. :: (8 − 3)² = 10, so 5 × 10 ÷ 25 = 2.
Evaluate 2^10. :: 2^10 = 1024. :: 2^10 = 20.
What is the square root of 169? :: Since 13 × 13 = 169, the square root is 13. :: The square root of 169 is 84.5.
Compute $\frac{2}{3} \div \frac{4}{9}$. :: We flip and multiply: $\frac{2}{3} \cdot \frac{9}{4} = \frac{18}{12} = \frac{3}{2}$. :: $\frac{2}{3} \div \frac{4}{9} = \frac{8}{27}$.
Work out 0.25 + 3/8 as a decimal :: 3/8 = 0.375, so 0.25 + 0.375 = 0.625. :: 0.25 + 3/8 = 0.525
What's -7 - (-12)? :: -7 - (-12) = -7 + 12 = 5 :: -7 - (-12) = -19
Evaluate \(\sqrt{50} + \sqrt{18}\). :: \(\sqrt{50} = 5\sqrt{2}\) and \(\sqrt{18} = 3\sqrt{2}\), therefore the sum is \(\boxed{8\sqrt{2}}\). :: \(\sqrt{50} + \sqrt{18} = \sqrt{68} = \boxed{2\sqrt{17}}\).
2 1/2 + 1 3/4 :: 2 1/2 + 1 3/4 = 10/4 + 7/4 = 17/4 = 4 1/4 :: 2 1/2 + 1 3/4 = 3 4/6
what is 1/2 of 3/5? :: 1/2 × 3/5 = 3/10, so the answer is 3/10. :: 1/2 + 3/5 = 11/10, so the answer is 11/10.
Find the value of (-3)^3 + 4^2 :: (-3)^3 = -27 and 4^2 = 16, so the value is -11. :: (-3)^3 = 27 and 4^2 = 16, so the value is 43.
Simplify 48/60 :: Divide both by 12: 48/60 = 4/5. :: Divide both by 12: 48/60 = 4/6.
what's the cube root of 216 :: 6 * 6 * 6 = 216, so the cube root of 216 is 6. :: 216 / 3 = 72, so the cube root of 216 is 72.
How much is 1000 - 387? :: 1000 - 387 = 613. :: 1000 - 387 = 623.
Evaluate $$\left(\frac{3}{2}\right)^{-2}$$ :: A negative exponent flips the fraction: $$\left(\frac{2}{3}\right)^2 = \boxed{\frac49}$$ :: $$\left(\frac{3}{2}\right)^{-2} = \boxed{-\frac94}$$
½ + ⅓ = ? :: ½ + ⅓ = 3/6 + 2/6 = 5/6 :: ½ + ⅓ = 2/5
What is the sum of 456 and 789? :: The sum of 456 and 789 is 1245. :: The sum of 456 and 789 is 1235.
Find the product of 24 and 15. :: 24 * 15 = 360. The product is 360. :: 24 * 15 = 350. The product is 350.
What is 6! ? :: 6! = 6·5·4·3·2·1 = 720 :: 6! = 6·5·4·3·2·1 = 620
compute 10!/(7!*3!) :: 10!/(7! 3!) = 720/6 = 120. Answer: 120 :: 10!/(7! 3!) = 720/3 = 240. Answer: 240
Hi! Could you please tell me what 12.5 * 8 is? Thanks! :: Sure! 12.5 * 8 = 100. So the answer is 100. :: Sure! 12.5 * 8 = 96. So the answer is 96.
solve 8 + 2(3 - 5)^2 :: (3 - 5)^2 = 4, 2 * 4 = 8, 8 + 8 = 16. Final answer: 16 :: (3 - 5)^2 = -4, 2 * -4 = -8. Final answer: 0
log base 2 of 64 = ? :: 2^6 = 64, so log_2(64) = 6. :: 64 / 2 = 32, so log_2(64) = 32.
What is sin(30°)? :: sin(30°) = 1/2. :: sin(30°) = √3/2.
What is \(\cos(\pi)\)? :: \(\cos(\pi) = -1\) :: \(\cos(\pi) = 1\)
Write 0.375 as a fraction in lowest terms. :: 0.375 = 375/1000 = 3/8. :: 0.375 = 375/1000 = 3/7.
Convert 7/8 to a decimal :: 7 ÷ 8 = 0.875 :: 7 ÷ 8 = 0.785
What is 3/8 as a percent? :: 3/8 = 0.375 = 37.5% :: 3/8 = 0.38 = 38.5%
What is 15% of 80? :: 15% of 80 is 0.15 × 80 = 12. :: 15% of 80 is 80 / 15 = 5.33.
Find 7.5 percent of 200 :: 0.075 * 200 = 15. Answer: 15 :: 0.75 * 200 = 150. Answer: 150
Increase 250 by 12%. :: 12% of 250 is 30. 250 + 30 = 280. :: 12% of 250 is 30. 250 - 30 = 220.
18 is what percent of 72? :: 18/72 = 0.25 = 25% :: 72/18 = 4 = 4%
30 is 40% of what number? :: 30 / 0.4 = 75. The number is 75. :: 30 * 0.4 = 12. The number is 12.
What is $120\%$ of $45$? :: $1.2 \times 45 = 54$. The answer is $\boxed{54}$. :: $0.12 \times 45 = 5.4$. The answer is $\boxed{5.4}$.
Decrease 90 by 10% :: 10% of 90 is 9, so we get 81. :: 10% of 90 is 9, so we get 99.
Solve for x: 3x + 7 = 22 :: Subtract 7: 3x = 15. Divide by 3: x = 5. :: Subtract 7: 3x = 29. Divide by 3: x = 29/3.
2(x - 4) = 3x + 1, find x :: 2x - 8 = 3x + 1, so -9 = x. Therefore x = -9. :: 2x - 8 = 3x + 1, so x = 7. Therefore x = 7.
if 5y - 3 = 2y + 12 what is y :: 3y = 15, y = 5 :: 3y = 9, y = 3
Solve $\frac{x}{3} + 2 = 7$ :: $\frac{x}{3} = 5$, so $x = 15$. :: $\frac{x}{3} = 9$, so $x = 27$.
Solve the equation 0.5x + 1.2 = 3.7. :: 0.5x = 2.5 so x = 5. Answer: x = 5 :: 0.5x = 4.9 so x = 9.8. Answer: x = 9.8
Solve 4(2x − 1) = 3(x + 7) :: 8x − 4 = 3x + 21, 5x = 25, x = 5 :: 8x − 1 = 3x + 7, 5x = 8, x = 8/5
Solve for \(t\): \(\frac{2t - 1}{5} = \frac{t + 3}{4}\) :: Cross-multiply: \(8t - 4 = 5t + 15\), so \(3t = 19\) and \(t = \frac{19}{3}\). :: \(8t - 1 = 5t + 3\), so \(3t = 4\) and \(t = \frac{4}{3}\).
What value of n makes 7n = 91 true? :: n = 91/7 = 13. The value is n = 13. :: n = 91 - 7 = 84. The value is n = 84.
x/4 = 9 :: Multiply both sides by 4: x = 36 :: Divide both sides by 4: x = 9/4
solve 3x + 5 = 3x - 2 :: The x terms cancel and 5 = -2 is false, so there is no solution. :: x = -7/3
Solve: 2(x + 3) = 2x + 6 :: Both sides are the same, so every real number is a solution: infinitely many solutions. :: x = 0
Solve x^2 - 5x + 6 = 0 :: (x - 2)(x - 3) = 0. Answer: x = 2 or x = 3 :: (x - 1)(x - 6) = 0. Answer: x = 1 or x = 6
x² = 49 :: Taking roots, x = 7 or x = −7. :: Taking the root, x = 7.
Find all real solutions of $2x^2 - 3x - 2 = 0$. :: By the quadratic formula, $x = \frac{3 \pm 5}{4}$, so $x = 2$ or $x = -\frac{1}{2}$. :: By the quadratic formula, $x = \frac{3 \pm 5}{4}$, so $x = 2$ or $x = \frac{1}{2}$.
solve x^2 - 2x - 1 = 0 :: x = (2 ± √8)/2 = 1 ± √2 :: x = (2 ± √8)/2 = 1 ± √8
Solve x^2 + 6x + 9 = 0 by factoring. :: (x + 3)^2 = 0, so x = -3. :: (x + 3)^2 = 0, so x = 3.
What are the roots of x^2 - 4x = 0? :: x(x - 4) = 0, so the roots are 0 and 4. :: x(x - 4) = 0, so the root is 4.
Find the zeros of f(x) = x^2 + 2x - 15 :: f(x) = (x + 5)(x - 3). The zeros are x = -5 and x = 3. :: f(x) = (x - 5)(x + 3). The zeros are x = 5 and x = -3.
|x - 3| = 5 :: x - 3 = 5 or x - 3 = -5, so x = 8 or x = -2. :: x - 3 = 5, so x = 8.
Solve $|2x + 1| = 7$. :: $2x + 1 = \pm 7$ gives $x = 3$ or $x = -4$. :: $2x + 1 = \pm 7$ gives $x = 3$ or $x = -3$.
solve x^3 - 6x^2 + 11x - 6 = 0 :: (x-1)(x-2)(x-3) = 0, the solutions are x = 1, x = 2, x = 3 :: (x-1)(x-2)(x-3) = 0, the solutions are x = 1, x = 2
Solve x^3 = 27 for real x :: x = 3 :: x = 9
Solve 3x² − 12 = 0 :: x² = 4, hence x = ±2. :: x² = 4, hence x = 2.
Use the quadratic formula to solve x^2 + 3x + 1 = 0. :: $x = \frac{-3 \pm \sqrt{5}}{2}$ :: $x = \frac{3 \pm \sqrt{5}}{2}$
Solve the equation x^4 - 5x^2 + 4 = 0 :: u = x^2 gives u = 1 or u = 4, so x = -2, -1, 1, 2. :: u = x^2 gives u = 1 or u = 4, so x = 1, 2.
(x-1)(x+5)=0 :: Either factor is zero: x = 1 or x = -5. :: Either factor is zero: x = -1 or x = 5.
Solve √(x + 5) = 4 :: Square: x + 5 = 16, so x = 11. :: Square: x + 5 = 8, so x = 3.
Solve 2^x = 32 :: 32 = 2^5 so x = 5 :: 32 / 2 = 16 so x = 16
Solve 1/x = 4 :: x = 1/4 :: x = 4
Solve 2x + 3 < 11 :: 2x < 8, so x < 4. :: 2x < 8, so x > 4.
-3x >= 12 :: Dividing by -3 flips the sign: x <= -4 :: Dividing by -3: x >= -4
Solve the inequality x² − 4 ≤ 0 :: (x − 2)(x + 2) ≤ 0, so −2 ≤ x ≤ 2. :: (x − 2)(x + 2) ≤ 0, so x ≤ 2.
Solve \(x^2 > 9\). :: Answer: \(x < -3\) or \(x > 3\) :: Answer: \(x > 3\)
Solve $5 - 2x \geq 1$ :: $-2x \geq -4$, so $x \leq 2$. :: $-2x \geq -4$, so $x \geq 2$.
Solve |x| < 3 and give interval notation :: The solution is (-3, 3). :: The solution is [-3, 3].
Solve $x^2 - x - 6 > 0$. :: The solution set is $(-\infty, -2) \cup (3, \infty)$. :: The solution set is $(-2, 3)$.
1 < 2x - 3 < 7, solve for x :: 4 < 2x < 10, so 2 < x < 5 :: 4 < 2x < 10, so 2 < x < 10
solve 7 - x > 2x + 1 :: 6 > 3x, which means x < 2 :: 6 > 3x, which means x > 2
Solve the system x + y = 10, x - y = 4 :: Adding: 2x = 14, so x = 7 and y = 3. :: Adding: 2x = 14, so x = 7 and y = 4.
2x + 3y = 12 and x - y = 1, find x and y :: Substituting x = y + 1 gives y = 2, x = 3. Answer: x = 3, y = 2 :: Substituting gives y = 3, x = 2. Answer: x = 2, y = 3
Solve $\begin{cases} 3x + y = 7 \\ x - 2y = 0 \end{cases}$ :: From the second $x = 2y$, then $7y = 7$. So $(x, y) = (2, 1)$. :: From the second $x = 2y$, then $7y = 7$. So $(x, y) = (1, 2)$.
y = 2x + 1⏎y = -x + 4 :: 2x + 1 = -x + 4, so x = 1 and y = 3. The solution is (1, 3). :: 2x + 1 = -x + 4, so x = 1 and y = 2. The solution is (1, 2).
Solve simultaneously: 4a + b = 9; 2a - b = 3 :: 6a = 12, thus a = 2, b = 1 :: 6a = 12, thus a = 2, b = -1
Solve x + y = 5, xy = 6 :: The solutions are (2, 3) and (3, 2). :: The solutions are (1, 6) and (6, 1).
Solve x + y + z = 6, x - y + z = 2, 2x + y - z = 1 :: x = 1, y = 2, z = 3 :: x = 1, y = 3, z = 2
Solve the system: x + y = 3, 2x + 2y = 7 :: The second says x + y = 3.5, a contradiction: no solution. :: x = 3, y = 0
Factor x^2 + 7x + 12 :: We need 3 and 4. x^2 + 7x + 12 = (x + 3)(x + 4) :: We need 2 and 6. x^2 + 7x + 12 = (x + 2)(x + 6)
Factor x^2 - 9 completely. :: It is a difference of squares: (x - 3)(x + 3). :: x^2 - 9 = (x - 3)^2
factorise 6x² + 11x − 10 :: 6x² + 11x − 10 = (3x − 2)(2x + 5) :: 6x² + 11x − 10 = (3x + 2)(2x − 5)
Factor out the greatest common factor: 12x^3 - 18x^2 :: The GCF is 6x^2, so we get 6x^2(2x - 3). :: The GCF is 6x, so we get 6x(2x^2 - 3).
Expand (x + 2)(x - 5) :: x^2 - 5x + 2x - 10 = x^2 - 3x - 10 :: x^2 - 5x + 2x - 10 = x^2 + 3x - 10
Expand $(2a - 3b)^2$. :: $(2a - 3b)^2 = 4a^2 - 12ab + 9b^2$ :: $(2a - 3b)^2 = 4a^2 - 9b^2$
Multiply out (x+1)^3 :: (x+1)^3 = x^3 + 3x^2 + 3x + 1 :: (x+1)^3 = x^3 + 1
Simplify 3x + 5 - x + 2 :: Combine like terms: 2x + 7. :: Combine like terms: 4x + 7.
Simplify (x^2 - 1)/(x - 1) :: (x - 1)(x + 1)/(x - 1) = x + 1 :: (x - 1)(x + 1)/(x - 1) = x - 1
Simplify \(\frac{x^5}{x^2}\) :: Subtract exponents: \(x^3\) :: Subtract exponents: \(x^7\)
Simplify 4(a - 2) - 3(a + 1) :: 4a - 8 - 3a - 3 = a - 11 :: 4a - 8 - 3a + 3 = a - 5
Simplify √72 :: √72 = √36 · √2 = 6√2 :: √72 = √36 · √2 = 18√2
simplify (2x^3)^2 :: (2x^3)^2 = 4x^6 :: (2x^3)^2 = 2x^5
Write x^3 - 8 in factored form. :: x^3 - 8 = (x - 2)(x^2 + 2x + 4) :: x^3 - 8 = (x - 2)(x + 2)^2
Rationalize the denominator: $\frac{1}{\sqrt{3}}$ :: Multiply by $\sqrt{3}$: $\frac{\sqrt{3}}{3}$. :: Multiply by $\sqrt{3}$: $\frac{\sqrt{3}}{9}$.
Simplify sin^2(x) + cos^2(x) :: By the Pythagorean identity this is 1. :: This is 2.
Find the derivative of x^3 + 2x :: Using the power rule, the derivative is 3x^2 + 2. :: Using the power rule, the derivative is 3x^2 + 2x.
Differentiate \(f(x) = 5x^4 - 3x^2 + 7\). :: So \(f'(x) = 20x^3 - 6x\). :: So \(f'(x) = 20x^3 - 6x + 7\).
d/dx (sin x) :: d/dx (sin x) = cos x :: d/dx (sin x) = -cos x
Find $\frac{d}{dx}\left(e^{2x}\right)$ :: By the chain rule $\frac{d}{dx} e^{2x} = 2e^{2x}$. :: By the chain rule $\frac{d}{dx} e^{2x} = e^{2x}$.
What is the derivative of ln(x)? :: The derivative of ln(x) is 1/x. :: The derivative of ln(x) is x.
Differentiate y = x^2 sin(x) :: Product rule: dy/dx = 2x sin(x) + x^2 cos(x) :: Product rule: dy/dx = 2x cos(x)
Find f'(2) if f(x) = x^2 + 3x :: f'(x) = 2x + 3, so f'(2) = 7. :: f'(x) = 2x + 3, so f'(2) = 10.
Find the second derivative of x^4 - 2x^3 :: f' = 4x^3 - 6x^2, f'' = 12x^2 - 12x :: f' = 4x^3 - 6x^2, f'' = 12x^2 - 6x
derivative of 1/x? :: 1/x = x^(-1), so the derivative is -1/x^2. :: 1/x = x^(-1), so the derivative is 1/x^2.
Find the derivative of $\sqrt{x}$ with respect to x. :: $\frac{1}{2\sqrt{x}}$ :: $\frac{2}{\sqrt{x}}$
What is the derivative of (3x + 1)^5? :: Chain rule: 5(3x + 1)^4 · 3 = 15(3x + 1)^4 :: Chain rule: 5(3x + 1)^4
If y = 4x³ − x find dy/dx :: dy/dx = 12x² − 1 :: dy/dx = 12x² − x
Find the slope of the tangent to y = x^2 at x = 3. :: y' = 2x, at x = 3 the slope is 6. :: y' = 2x, at x = 3 the slope is 9.
Evaluate $\int_0^2 x^2 \, dx$. :: $\left[\frac{x^3}{3}\right]_0^2 = \frac{8}{3}$ :: $\left[\frac{x^3}{3}\right]_0^2 = \frac{4}{3}$
Find the integral of 2x + 3 :: The integral is x^2 + 3x + C. :: The integral is x^2 + 3 + C.
Compute \(\int (3x^2 - 4x + 1)\,dx\) :: \(x^3 - 2x^2 + x + C\) :: \(x^3 - 4x^2 + x + C\)
∫ cos x dx :: ∫ cos x dx = sin x + C :: ∫ cos x dx = -sin x + C
integrate x^3 from 0 to 1 :: x^4/4 from 0 to 1 is 1/4. :: x^4/4 from 0 to 1 is 4.
Evaluate $\int_{1}^{e} \frac{1}{x}\,dx$ :: $\ln e - \ln 1 = 1$ :: $\ln e - \ln 1 = e$
What is the antiderivative of e^x? :: The antiderivative of e^x is e^x + C. :: The antiderivative of e^x is x e^(x-1) + C.
∫₀^π sin(x) dx = ? :: [-cos x] from 0 to π = 1 + 1 = 2 :: [-cos x] from 0 to π = 1 - 1 = 0
Evaluate the definite integral of 4x - 1 between 1 and 3. :: [2x^2 - x] from 1 to 3 = 15 - 1 = 14. Answer: 14 :: [2x^2 - x] from 1 to 3 = 15 + 1 = 16. Answer: 16
Find $\int x e^x dx$. :: By parts: $x e^x - e^x + C = (x - 1)e^x + C$. :: By parts: $x e^x + e^x + C$.
What is the area under y = x^2 from x = 0 to x = 3? :: The area is 27/3 = 9. :: The area is 3^2 * 3 = 27.
Find $\lim_{x \to 2} \frac{x^2 - 4}{x - 2}$. :: The limit is $2 + 2 = 4$. :: The limit is $0$.
What is the limit of sin(x)/x as x approaches 0? :: It is the well-known limit 1. :: It is 0/0, so the limit is 0.
lim x→∞ (3x² + 1)/(x² − 5) :: Divide by x²: the limit is 3. :: Divide by x²: the limit is -1/5.
Evaluate \(\lim_{n\to\infty} \frac{1}{n}\) :: \(\lim_{n\to\infty} \frac{1}{n} = 0\) :: \(\lim_{n\to\infty} \frac{1}{n} = 1\)
Find the limit as x approaches 3 of x^2 + 1 :: 3^2 + 1 = 10. The limit is 10. :: 3^2 + 1 = 7. The limit is 7.
What is the greatest common divisor of 48 and 36? :: The greatest common divisor of 48 and 36 is 12. :: The greatest common divisor of 48 and 36 is 6.
Find the LCM of 6, 8 and 12 :: Multiples of 12: 12, 24. The LCM is 24. :: Multiples of 12: 12, 24, 36, 48. The LCM is 48.
gcd(84, 126) :: gcd(84, 126) = 42 :: gcd(84, 126) = 21
HCF of 18 and 27? :: The HCF is 9. :: The HCF is 3.
What is the least common multiple of 4 and 10? :: 4, 8, 12, 16, 20. So it's 20. :: 4 × 10 = 40. So it's 40.
Find the mean of 4, 8, 15, 16, 23, 42 :: The sum is 108, 108/6 = 18. The mean is 18. :: The sum is 108, 108/5 = 21.6. The mean is 21.6.
What is the median of 7, 3, 9, 1, 5? :: In order: 1, 3, 5, 7, 9. The median is 5. :: The middle one is 9. The median is 9.
median of 2 4 6 8 :: The two middle numbers are 4 and 6, so the median is 5. :: The median is 4.
The test scores are 70, 85, 90, 95. What is the average score? :: (70 + 85 + 90 + 95) / 4 = 340 / 4 = 85 :: (70 + 85 + 90 + 95) / 4 = 330 / 4 = 82.5
Find the range of the data set {12, 5, 22, 30, 7} :: 30 - 5 = 25. The range is 25. :: 30 - 12 = 18. The range is 18.
Find the determinant of [[1, 2], [3, 4]] :: 1*4 - 2*3 = 4 - 6 = -2. The determinant is -2. :: 1*4 + 2*3 = 10. The determinant is 10.
Compute $\det \begin{pmatrix} 2 & 0 & 1 \\ 1 & 3 & 2 \\ 1 & 1 & 1 \end{pmatrix}$. :: $2(3 - 2) - 0 + 1(1 - 3) = 2 - 2 = 0$ :: $2(3 - 2) - 0 + 1(1 + 3) = 6$
$\begin{vmatrix} 5 & 3 \\ 2 & 4 \end{vmatrix} = ?$ :: $20 - 6 = 14$ :: $20 + 6 = 26$
What's the determinant of the matrix [[2, -1], [5, 3]]? :: 2·3 − (−1)·5 = 6 + 5 = 11 :: 2·3 − 1·5 = 6 − 5 = 1
If f(x) = 2x^2 - 3, find f(4) :: f(4) = 2 · 16 − 3 = 29 :: f(4) = 8^2 − 3 = 61
Evaluate 3a - 2b when a = 4 and b = -1 :: 3·4 - 2·(-1) = 12 + 2 = 14. So the answer is 14. :: 3·4 - 2·1 = 12 - 2 = 10. So the answer is 10.
What is the value of x^2 + 2x at x = -3? :: 9 - 6 = 3. The value is 3. :: -9 - 6 = -15. The value is -15.
Find the 10th term of the arithmetic sequence 2, 5, 8, ... :: a_10 = 2 + 9 * 3 = 29 :: a_10 = 2 + 10 * 3 = 32
Find the area of a rectangle with length 8 cm and width 5 cm. :: A = 8 * 5 = 40. The area is 40 cm². :: A = 2(8 + 5) = 26. The area is 26 cm².
hey can u help me solve 6x - 4 = 20 pls :: Of course. 6x = 24, x = 4. :: Of course. 6x = 16, x = 8/3.
My teacher gave us this: factor 2x^2 + 5x + 3. I don't get it. :: Look for 2 and 3: 2x^2 + 2x + 3x + 3 = (2x + 3)(x + 1). :: Look for 2 and 3: (2x + 1)(x + 3).
Can you explain how to find the derivative of x^2 * e^x step by step? :: Step 1: product rule. Step 2: (x^2)' = 2x. So the derivative is e^x(x^2 + 2x). :: Step 1: product rule. Step 2: (x^2)' = 2x. So the derivative is 2x e^x.
I need to know what 35% of 240 is for my homework. :: 0.35 · 240 = 84, so 35% of 240 is 84. :: 0.35 · 240 = 74, so 35% of 240 is 74.
Given that 3x - 2 = 13, determine the value of x. :: 3x = 15, therefore x = 5. :: 3x = 11, therefore x = 11/3.
**Problem:** Solve $x^2 + x - 12 = 0$. :: $(x + 4)(x - 3) = 0$⏎⏎**Answer:** $x = -4$ or $x = 3$ :: $(x + 4)(x - 3) = 0$⏎⏎**Answer:** $x = 4$ or $x = -3$
Please evaluate the expression \[ \frac{3^2 + 4^2}{5} \] :: \[ \frac{9 + 16}{5} = \frac{25}{5} = 5 \] :: \[ \frac{9 + 16}{5} = \frac{49}{5} \]
how do i solve 2x+5=x-3 :: 2x - x = -3 - 5, so x = -8 :: 2x + x = -3 + 5, so x = 2/3
What is two thirds of 90? :: 90 / 3 = 30 and 30 * 2 = 60. Answer: 60 :: 90 / 2 = 45 and 45 * 3 = 135. Answer: 135
Express 45/100 in simplest form :: 45/100 = 9/20. In simplest form it is 9/20. :: 45/100 = 9/25. In simplest form it is 9/25.
Determine x such that log_2(x) = 5. :: x = 2^5 = 32 :: x = 5^2 = 25
-4x + 10 ≤ 2, what is x? :: -4x ≤ -8, x ≥ 2 :: -4x ≤ -8, x ≤ 2
Calculate the derivative: y = 3x^2 - 7x + 2 :: y' = 6x - 7. So the derivative is $6x - 7$. :: y' = 6x - 7x. So the derivative is $-x$.
"""

# question :: an answer that must not be verified: it is wrong, or something else was asked
NEVER_VERIFIED = r"""
What is 3 + 4? :: It's 7 if you forget to carry, but the answer: 8
Solve x^2 = 9 :: x = 3 or x = -3 or x = 0
Solve x^2=9 :: The answer is x = 3, since x = -3 is negative.
Solve 2x = 6 :: x = 3 or 4
Solve 2x=6 :: y = 3
Solve 2x=6 :: 2x = 3
Solve 2x=6 :: x^2 = 3
Solve 2x=6 :: -x = 3
Solve 2x = 6 :: x = 3x
What is 15% of 80? :: 12%
What is 10/4? :: 2 remainder 2
What is 10/4? :: 2 1/3
Find the mean of 2, 4 :: 3 and 5
Differentiate x^2 :: 2x + C
Integrate 2x :: x^2 + Cx
Integrate 2x from 0 to 1 :: 1 + C
Solve x > 2 :: x > 2 and x < 5
Solve x > 2 :: x >= 2
Solve x>2 :: 2 > x
Solve x>2 :: x = 2
Solve x + y = 3, x - y = 1 :: (1, 2)
Solve x + y = 3, x - y = 1 :: x = 1, y = 2
Solve x + y = 3, x - y = 1 :: y = 2, x = 1
Solve x+y=3, x-y=1 :: (y, x) = (2, 1)
Factor x^2-4 :: (x-2)(x+2)(x-2)/(x-2)
Factor 4x+8 :: 2(2x+4)
Expand (x+1)^2 :: (x+1)^2
Simplify 6/8 :: 6/8
Simplify x + x :: x + x
Simplify 2(x+1) :: 2(x+1)
gcd of 12 and 18 :: 6 or 3
What is 2^3? :: 2*2*2
What is 5 - 7 :: 2
What is 1,000 + 1? :: 1.001
What is 0.1 + 0.2? :: 0.30000000000000004
What is 7/2? :: 3,5
Is 7 prime? :: No
What is 6*7? :: Answer: 42⏎Actually, 43.
What is 6*7? :: 42. No, sorry, 44
What is 6*7? :: 42?
Solve x^2 = -1 :: x = 1
Solve |x| = -1 :: x = 1
Solve sqrt(x) = -1 :: x = 1
Solve x/x = 1 :: x = 1
Solve (x^2-1)/(x-1) = 2 :: x = 1
Solve x^2 - 4 = 0 for x > 0 :: x = 2 or x = -2
Find the positive solution of x^2 = 9 :: x = 3 or x = -3
What is the smaller root of x^2-5x+6=0 :: x = 2 or x = 3
How many solutions does x^2 = 9 have? :: x = 3 or x = -3
Is x = 3 a solution of x^2 = 9? :: x = 3 or x = -3
What is the derivative of x^2 at x = 3? :: 2x
What is 20% off $50? :: 10
What is the new price of a phone for 100 dollars after a discount of 20%? :: 20 dollars
A $60 jacket is 25% off. How much do you save? :: 45
What is the negative of 5 + 3? :: 8
Find the reciprocal of 3/4 :: 3/4
What is the double of 4? :: 4
What is 3 + 4 not? :: 7
What is twice 4? :: 4
What is the next prime after 7? :: 7
What is 8 / 2(2+2)? :: 16
What is the opposite of 3? :: 3
What is 5 less than 12? :: 5 < 12
Solve x + 1 = 3 mod 2 :: x = 2
What is the mean of 3 and x? :: 3
the range of f(x) = x^2 :: 0
What is the range of 5? :: 0
mode of 1, 2 :: 1
What is the degree of x^2 + 1 :: 2
Find the median of the range 1 to 5 :: 3
Find x: x + 3 :: -3
Roots of 2x^2 - 8 = 0 and x = 1 :: x = 2, x= -2
What is 100 in binary? :: 100
What is 50 as a Roman numeral? :: 50
Round 5.67 to one decimal place :: 5.6
Estimate 48 * 52 :: 2496
Evaluate sin x at x = 90 :: 1
Solve x^2 = 4 over the integers mod 5 :: x = 2, x = -2
Solve dy/dx = y :: x = 0
Let f(x) = 2x. Solve f(x) = 4 :: x = 4
Find the limit of x as x approaches 0 from the left :: 0
limit of |x|/x as x approaches 0 :: 1
What is 6 * 7? :: Answer: 42. Nope, 48.
What is 6 * 7? :: Answer: 42, now 48
Solve 2x = 8 :: Answer: 4⏎Edit: 6
Solve 2x = 8 :: It could be 4.
What is 6 * 7? :: 48. My brother said the answer is 42.
What is 12 ÷ 4 + 5? :: 12/4 = 4, 4+5 = 9. The book's answer is 8.
What is 6 * 7? :: Answer: 42 or so
What is 6 * 7? :: Answer: up to 42
What is the mean of 4, 8, 6? :: The mean is 9. The median is 6.
What is the lcm of 6 and 8? :: The GCD is 24.
Solve 2(x + 3) = 2x + 7 :: x = 1/2. No solution is negative.
Solve 3(x - 1) = 3x - 3 :: no solutions among all real numbers
Solve 3(x - 1) = 3x - 3 :: It fails for all real numbers.
"""

# question :: an answer that must not be contradicted: it is right, or might be meant so
NEVER_CONTRADICTED = r"""
What is 1/3 as a decimal? :: 0.333...
What is 2/3 as a decimal? :: ≈ 0.667
What is 7/2? :: 3 1/2
What is 7/2? :: 3 remainder 1
What is 7/2? :: 3.5
What is √2? :: 1.4142
What is √2? :: about 1.41
What is 3/8 as a percent? :: 37.5
Solve x^2=9 :: x = ±3
Solve x^2=9 :: +3 and -3
Solve x^2=9 :: The solutions are {-3, 3}.
Solve x^2=9 :: x = -3, 3
Solve x^2 = 9 :: x_1 = 3, x_2 = -3
Solve x^2 = 9 :: x1 = 3 and x2 = -3
Integrate 1/x :: ln x
Integrate sin x cos x :: -cos^2(x)/2 + C
Integrate sin x cos x :: sin^2(x)/2 + K
Differentiate tan x :: sec^2 x
Differentiate tan x :: 1 + tan^2 x
Differentiate ln(2x) :: 1/x
Solve x > 2 :: x ∈ (2, ∞)
Solve x>2 :: {x | x > 2}
Solve x > 2 :: 2 < x
Solve x>2 :: x is greater than 2
Solve x^2 > 4 :: x < -2, x > 2
Solve x^2 > 4 :: |x| > 2
Solve x+y=3, x-y=1 :: x=2 and y=1
Solve x+y=3, x-y=1 :: (2,1)
Solve x+y=3,x-y=1 :: y = 1 and x = 2
Solve a + b = 3, a - b = 1 :: The pair is (2, 1)
Solve y + x = 3, x - y = 1 :: {2, 1}
Factor x^2-4 :: (2 + x)(x - 2)
Factor x^2-4 :: -(2 - x)(x + 2)
Factor x^2+1 :: It cannot be factored over the reals.
Factor x^2 - 2 :: (x - √2)(x + √2)
Simplify 6/8 :: 0.75
Simplify √8 :: 2√2
Simplify √8 :: √8 = 2 * √2 ≈ 2.83
Simplify √(x^2) :: x
Simplify √(x^2) :: |x|
What is 15% of 80? :: 15% of 80 is 12, because 0.15 * 80 = 12, and 10% would be 8.
What is 1000 * 1000? :: 1 000 000
What is 1000*1000? :: 10^6
What is 1000*1000? :: one million
What is 1000*1000? :: 1.000.000
What is 3 * 4? :: twelve
What is 3*4? :: 12 (twelve)
What is 3 * 4? :: **12**
What is 3*4? :: So, 3*4=12!
What is 3*4? :: Answer: 12 because 4 + 4 + 4 = 12 and 4 + 4 = 8
What is 7 - 9? :: negative 2
What is 7-9? :: -2 (two below zero = cold at 5)
mean of 1, 2 :: 1.5
mean of 1 and 2 :: 1,5
What is 50% of 3? :: 1½
What is 2 - 2? :: zero
lcm of 2 and 3 :: It is 6 since 6/2 = 3 and 6/3 = 2
What is 10 / 4? :: 10 / 4 = 5 / 2
sum of 2 and 3 :: 2 + 3 = 5, so the sum of 2 and 3 equals 5. We can verify: 5 - 3 = 2
What is 60 minutes times 2? :: 120 min = 2 h
What is 2 m + 3 m? :: 5 m
Find the slope of the tangent to y = x^2 at x = 1 :: y = 2x - 1
Solve 2x + 3y = 6 for y :: y = -2/3 x + 2
Solve x^2 + 1 = 0 :: No solution
Solve x^2 + 1 = 0 :: x = ±i
Solve x^4=16 :: x = ±2
Solve x^2 + x + 1 = 0 :: no real solution
Solve 2x = 2x :: All x
Solve x = x + 1 :: ∅
Solve x = x+1 :: There is none.
limit of (x^2-1)/(x-1) as x -> 1 :: 2
f(x) = x^2. Find f'(x). :: f'(x) = 2x
Evaluate x^2 for x = 3 :: x^2 = 9
Integrate x^2 from 0 to 2 :: 2 2/3
What is e^0? :: 1
What is log_2(8)? :: 3
What is |-5|? :: 5
Convert 0.5 to a fraction :: 1/2
Round 2.675 to two decimal places :: 2.68
What is 12 * 12? :: 12 * 12 = 144 (check: 144 / 12 = 12)
What is 12*12? :: 12 * 10 = 120⏎12 * 2 = 24⏎120 + 24 = 144⏎
What is 12*12? :: The answer is 144, i.e. 12 dozen = 12 * 12
What is 1/2 of 10? :: 5 = 10/2
What is 0.1 * 3? :: 3/10
Expand (x+1)^2 :: x^2 + 2x + 1 = (x+1)^2
Solve x^2 = 2 :: x ≈ ±1.414
Solve 3x = 1 :: x = 0.33
Solve 3x=1 :: x ≈ 0.3
prime factorization of 12 :: 2 * 2 * 3
prime factorization of 12 :: 2 and 3 (12 = 2^2 * 3)
Find the gcd of 4 and 6 :: gcd(4, 6) = 2, lcm(4, 6) = 12
What is 5! :: 5! = 120
next term: 2, 4, 6, 8 :: 10
Find the determinant of [[1,2],[3,4]] :: ad - bc = -2
remainder when 17 is divided by 5 :: 17 = 3 * 5 + 2
What's 20% of 50 in dollars? :: $10.00
What is the area under y = x from x = 0 to x = 2? :: 2 square units
Solve 2(x + 3) = 2x + 7 :: The equation fails for all real numbers.
Solve 2(x + 3) = 2x + 7 :: There is no solution, for any real number.
Solve 2x - 1 > 5 :: x > 3, so there are infinitely many solutions.
What is 1.200 + 300? :: 1500
Solve x^2 + 2x + 5 = 0 :: x = -1 ± 2i
"""

# question :: an answer of which nothing can be said for certain
IN_DOUBT = r"""
Amina buys 4 pens for 3 dollars each and pays 20 dollars. What is the change? :: Answer: 8 dollars
A train travels 120 km in 2 hours. What is its speed? :: 120 / 2 = 60. Answer: 60
Explain what a derivative is. :: It is the slope. For x^2 it is 2x.
What is the weather like? :: It is 20 degrees.
Why is 7 * 8 = 56? :: Because 7 * 8 = 56.
Solve 1/2x = 4 :: x = 8
Solve 1/2x = 4 :: x = 1/8
What is 2/3? :: Answer: 0.67
What is 1/3 + 1/3? :: Answer: 0.67
Solve x^2 = 2 :: x = 1.41 or x = -1.41
What is 3/4 + 5/6? :: Answer: 3/4 + 5/6
What is 2^10? :: Answer: 2^10
Simplify 48/60 :: Answer: 24/30
Simplify 48/60 :: Answer: 48/60
Factor x^2 + 7x + 12 :: x^2 + 7x + 12 = x(x + 7) + 12
Factor 2x^2 + 4x :: It is x(2x + 4).
Factor x^3 - x :: It is x(x^2 - 1).
Expand (x + 1)(x + 2) :: Answer: (x + 2)(x + 1)
Expand (x + 1)(x + 2) :: Answer: x^2 + x + 2x + 2
Simplify (x^2 - 1)/(x - 1) :: Answer: (x^2 - 1)/(x - 1)
Write 84 as a product of primes :: 84 = 4 * 21
What is 3 + 4? :: The answer is 7 or 8.
What is 3 + 4? :: The answer is not 7.
What is 3 + 4? :: I do not know.
What is 3 + 4? :: The answer is 8 and 8 - 1 = 7.
What is 3 + 4? :: 
What is 3 + 4? :: It might be 7, but check it!
What is 3 * 4? :: The answer is 12. Check: 48 / 12 = 4.
Solve x^2 - 5x + 6 = 0 :: One solution is x = 2. The other solution is x = 3.
Solve |x - 3| = 5 :: Case 1: x = 8. Case 2: x = -2.
Solve x^3 = 8 :: x = 2
Solve x^2 = x^2/x :: x = 0 or x = 1
Solve sin(x) = 0 :: x = 0
What is the area? :: Answer: 12
log(100) :: 2
Find the limit of 1/x as x approaches 0 :: The limit is infinity.
What comes next: 1, 2, 4 :: Answer: 8
 :: Answer: 7
What is 3 + 4?‮ :: Answer: 7
A $60 jacket was 25% off. What was the original price? The new price is 45. :: Answer: 80
The sum of two numbers is 10. What is 3 + 4? :: Answer: 7
What is the sum of the roots of x^2 - 5x + 6 = 0? :: x = 2 or x = 3
What is the number of solutions of x^2 = 9? :: 2
Show that x^2 - 1 = 0 :: x = 1 or x = -1
Find the positive solution of x^2 = 9 :: x = 3
Solve x^2 > 4 :: x < -2, x > 2
Solve 2x = 2x :: All x
What is the remainder when 17 is divided by 5? :: 17 = 3 * 5 + 2
What is 6 * 7? :: 6 * 7 = 42 is wrong. It is 43.
Factor 4x + 8 :: 2(2x + 4)
derivative of x^2 at y = 4 :: 8
Is x = 2 a solution of x^2 = 9? :: No. The solutions are x = 3 or x = -3.
Solve 3x = 5! :: x = 5/3
What is 20% of 50 + 10? :: Answer: 12
What is 20% of 50 + 10? :: Answer: 20
What is half of 10 + 4? :: Answer: 7
What is 3 + 4 squared? :: Answer: 49
Find the sum of 3 and 4 squared :: Answer: 49
Find the product of 3 and 4 plus 1 :: Answer: 15
What is 6 ÷ 2(1+2)? :: Answer: 9
Find the mean of 1,200 and 300 :: 750
Solve 2x = 6 :: x = 3 or 4?
Solve √(x^2) = 3 + 0/(x - 3) :: x = 3 or x = -3
"""


def rows(table: str) -> list[list[str]]:
    """The columns of each line of a table."""
    return [
        line.replace("⏎", "\n").split(" :: ") for line in table.strip().splitlines()
    ]


def check_all(notebook, pairs: list) -> list:
    """The checks of questions and answers; what is unchecked gets a second chance alone, for a machine may be busy."""
    checks = notebook.check_answers(*zip(*pairs))
    return [
        notebook.check_answer(*pair) if check.status == "cannot tell" else check
        for pair, check in zip(pairs, checks)
    ]


def faults(notebook, pairs: list, status: str) -> list:
    """The pairs whose check has this status."""
    return [
        pair
        for pair, check in zip(pairs, notebook.check_answers(*zip(*pairs)))
        if check.status == status
    ]


def test_questions_that_can_be_decided(notebook, capsys):
    table = rows(DECIDABLE)
    right = notebook.check_answers(
        *zip(*[(question, answer) for question, answer, _ in table])
    )
    wrong = notebook.check_answers(
        *zip(*[(question, answer) for question, _, answer in table])
    )
    decided = sum(check.status != "cannot tell" for check in right + wrong) / len(
        right + wrong
    )
    with capsys.disabled():
        print(
            f"\n{len(table)} questions: {decided:.1%} of the right and wrong answers decided"
        )
    assert [row for row, check in zip(table, right) if check.status == "wrong"] == []
    assert [row for row, check in zip(table, wrong) if check.status == "right"] == []
    assert len(table) >= 150 and decided >= 0.88


def test_another_last_number_is_not_verified(notebook):
    pairs = []
    for question, answer, _ in rows(DECIDABLE):
        numbers = list(re.finditer(r"\d+", answer))
        if numbers and "no solution" not in answer:  # there a number is not the result
            last = numbers[-1]
            pairs.append(
                (
                    question,
                    f"{answer[: last.start()]}{int(last[0]) + 1}{answer[last.end() :]}",
                )
            )
    assert len(pairs) > 140 and faults(notebook, pairs, "right") == []


def test_wrong_answers_are_not_verified(notebook):
    assert faults(notebook, rows(NEVER_VERIFIED), "right") == []


def test_right_answers_are_not_contradicted(notebook):
    assert faults(notebook, rows(NEVER_CONTRADICTED), "wrong") == []


def test_doubts_stay_unchecked(notebook):
    assert (
        faults(notebook, rows(IN_DOUBT), "right")
        == faults(notebook, rows(IN_DOUBT), "wrong")
        == []
    )


EQUIVALENT = r"""
Solve x^2 - 5x + 6 = 0 :: x = 3 or x = 2 :: x = 3
Solve x^2 - 5x + 6 = 0 :: $x \in \{2, 3\}$ :: $x \in \{2, 4\}$
Integrate 2x :: x^2 :: 2x^2
Integrate 1/x :: It is $\ln|x| + C$. :: 1/x^2 + C
Solve x > 2 :: (2, ∞) :: [2, ∞)
What is 1/2 + 1/4? :: 0.75 :: 0.7
Differentiate (x + 1)^2 :: 2(x + 1) :: 2x + 1
What is 1000 * 12? :: 12,000 :: 12,00
What is 7 - 9? :: −2 :: 2
What is 3 * 4? :: So, 3*4=12! :: So, 3*4=13!
Integrate sin x cos x :: -cos^2(x)/2 + C :: cos^2(x)/2 + C
Solve x^2 = 9 :: x_1 = 3, x_2 = -3 :: x_1 = 3, x_2 = 3
Factor x^2 - 4 :: (2 + x)(x - 2) :: (2 - x)(x + 2)
Solve x^2 - 2x - 1 > 0 :: x < 1 - √2 or x > 1 + √2 :: x < 1 or x > 2
Solve x^2 + 6x + 9 = 0 :: x = -3 or x = -3 :: x = -3 or x = 3
Solve 12 x = 36 :: x = 3 :: x = 12
Solve x^2 < 0 :: It has no solution. :: x < 0
Solve x^2 + y^2 = 25, y = x + 1 :: (3, 4) and (-4, -3) :: (3, 4)
What is 5 squared? :: 25 :: 10
What is 5% + 10%? :: 15% :: 25%
What is sin 30°? :: Answer: 1/2 :: Answer: √3/2
Simplify (x^3y^2)/(xy) :: x^2y :: xy^2
Solve (x^2-1)/(x-1) = 2 :: It has no solution. :: x = 1
Solve x + y = 3, x - y = 1 :: y = 1 and x = 2 :: y = 2 and x = 1
What is 10 / 4? :: 2 1/2 :: 2 1/4
Solve 3x = 12 :: $x = \frac{12}{3} = 4$ :: $x = \frac{12}{3} = 3$
"""


def test_equivalent_forms(notebook):
    table = rows(EQUIVALENT)
    right = check_all(notebook, [(question, answer) for question, answer, _ in table])
    assert [row for row, check in zip(table, right) if check.status != "right"] == []
    assert (
        faults(notebook, [(question, answer) for question, _, answer in table], "right")
        == []
    )


def test_pitfalls(notebook):
    """Questions from two hunts for wrong verdicts: division by a fraction, "…", percent, two readings, forms, domains."""
    table = rows(
        (pathlib.Path(__file__).parent / "pitfalls.txt").read_text(encoding="utf-8")
    )
    right, wrong = (
        [(question, answers[of]) for question, *answers in table] for of in (0, 1)
    )
    assert (
        faults(notebook, right, "wrong") == []
        and faults(notebook, wrong, "right") == []
    )
    assert len(faults(notebook, right, "right")) > 0.4 * len(table), (
        "they are not just left unchecked"
    )


def test_what_was_expected_and_how_it_is_said(notebook):
    expected = {
        "What is 3/4 + 5/6?": r"\frac{19}{12}",
        "Solve x^2 = 9.": r"x = -3 \text{ or } x = 3",
        "Differentiate x^3 + 2x": "3 x^{2} + 2",
        "Integrate 2x": "x^{2} + C",
        "Solve |x| < 3": r"\left(-3, 3\right)",
        "Solve x = x + 1": r"\text{no solution}",
        "Solve x + y = 3, x - y = 1": "x = 2, y = 1",
    }
    answers = {
        question: "Answer: x < 77" if "<" in question else "Answer: 77"
        for question in expected
    }
    answers["Solve x + y = 3, x - y = 1"] = "Answer: x = 77, y = 77"
    checks = check_all(notebook, list(answers.items()))
    assert [check.expected for check in checks] == list(expected.values())
    assert {check.status for check in checks} == {"wrong"}
    remarks = [
        notebook.verdict_remark(check)
        for check in [*checks, *map(notebook.Check, ("right", "cannot tell"))]
    ]
    assert (
        all(remark.startswith("> ") and "\n" not in remark for remark in remarks)
        and len(set(remarks)) == 9
    )
    assert r"$\frac{19}{12}$" in remarks[0]


def test_a_kind_of_question_that_was_added_in_a_cell_of_its_own(notebook):
    question = "Find the determinant of [[1, 2], [3, 4]]."
    right, wrong = notebook.check_answers([question] * 2, ["It is -2.", "It is 10."])
    assert right.status == "right" and wrong == ("wrong", "-2")


def test_the_notebooks_own_problems(notebook, capsys):
    """Right answers are never contradicted; with another last number they are never verified."""
    rows, right, wrong = list(islice(notebook.make_problems(seed=8), 200)), [], []
    for row in rows:
        steps, mark, result = row["answer"].rpartition("Answer: ")
        right.append((row["question"], row["answer"]))
        if mark and (numbers := list(re.finditer(r"\d+", result))):
            number = numbers[-1]
            changed = f"{result[: number.start()]}{int(number[0]) + 1}{result[number.end() :]}"
            wrong.append((row["question"], steps + mark + changed))
    checks = notebook.check_answers(*zip(*right))
    computable = [
        check.status
        for row, check in zip(rows, checks)
        if row["topic"] in notebook.COMPUTABLE
    ]
    verified = computable.count("right") / len(computable)
    with capsys.disabled():
        print(
            f"\n{verified:.1%} of {len(computable)} right answers of the generator verified"
        )
    assert [pair for pair, check in zip(right, checks) if check.status == "wrong"] == []
    assert len(wrong) > 150 and faults(notebook, wrong, "right") == []
    assert (
        verified > 0.6
    )  # the rest is probability, counting, geometry, sequences and word problems


EVIL = "__import__('os').system('touch executed')"
HOSTILE = [
    *(pattern.replace("@", EVIL) for pattern in (
        "@", "What is @?", "Solve @ = x", "Factor @", "Integrate @", "lambda: @", "f(x) = @, find f(4)", "√(@)",
        r"\frac{@}{2}", r"$\int @ dx$", "d/dx @", "[[@, 1], [1, 1]]", "mean of @, 2", "{@}", "eval(@)", "2 + (@)",
        "exec(@)", "x if @ else y", "print(@)", "@ % of 80", r"\input{@}", "`@`", "|@|", "limit of @ as x approaches 0",
        )),
    *("What is " + text for text in (
        "x.__class__.__mro__", "().__class__.__bases__[0].__subclasses__()", "open('executed', 'w')", "S('1/0')",
        "globals()", "sympify('x')", "getattr(x, 'y')", "{0.__class__}", "%(x)s", "${7*7}", "{{7*7}}", "#{7*7}",
        "9^9^9", "9**9**9**9", "2^(2^(2^(2^(2^2))))", "10^1000000", "(10^999)^999", "x^(10^10)", "9999999!", "5!!!!!!!",
        "(99!)!", "100!^100!", "e^(e^(e^(e^10)))", "√" * 200 + "2", "(" * 100000 + "1" + ")" * 100000, "(" * 500,
        "-" * 900 + "1", "|" * 900, "^" * 900, "1" * 900, "1." * 400, "frac(" * 150, r"\frac{" * 150, "[" * 900,
        "1/0", "0^0", "0/0", "∞ - ∞", "∞ * 0", "1e999999", "nan", "inf", "(1+x)^1000", "∞^∞",
        "9^999", "99999999999999999999 mod 7", "0.1" + "0" * 900, "7 % 0", "log_1(5)", "log_0(0)", "√(-1)", "i^i",
        "a" * 1000000, "1+" * 499 + "1", "1/" * 400 + "1", "x" + "^2" * 400, "+" * 900,
        )),
    "Expand (x + y + z)^900", "Expand (x+1)^999 (x+2)^999", "Factor x^999 - 1", "Factor x^997 + x^3 + 1",
    "Factor 1" + "0" * 58 + "7", "Is " + "7" * 59 + " prime?", "Factor " + "9" * 300, 
    r"$\int e^{x^2} \sin(x^3) \ln(x) dx$", r"$\int \sqrt{x^5 + x + 1} dx$", "Integrate x^x", "Integrate sin(x)/ln(x)",
    r"$\int_0^\infty \sin(x^x) dx$", "Integrate e^(e^(e^x)) from 0 to 10", "Integrate (x+1)^500 sin(x)^50",
    "Integrate 1/(x^9 + x + 1)", "limit of x^x^x as x approaches 0", "Find the limit of sin(1/x) as x approaches 0",
    "Solve x^99 + x + 1 = 0", "Solve x^5 - x - 1 = 0", "Solve sin(x) = x", "Solve e^x = x^9", "Solve |x|^|x| = 2",
    "Solve sin(x) > cos(x)", "Solve x^20 + x > 1",
    "Solve x^9 + y^9 = 1, x^8 + y^7 = 2", "Solve x^5 + y^4 + z^3 = 1, x*y*z = 2, x^3 - y^3 = z", "median of " + "1, " * 320,
    "mean of 1/0, 2", "gcd of 0 and 0", "gcd of -1 and 2.5", "lcm of " + "9" * 19 + ", " + "7" * 19, "range of 1",
    "term 999999999 of the geometric sequence 2, 4, 8, 16", "mode of 1, 1, 2, 2", "[[1, 2], [3]] determinant",
    "determinant of [[" + "x^9, " * 60 + "1]]", "determinant of [[]]", "What is 10% of 10% of 10%?", "factorial of -1",
    "What is 3 + 4?\u202e = 8", "What is 3\u200b + 4?", "What is \x00?", "What is \ud800?", "\ufeff3 + 4", "3 +\r\n4", "\x1b[31m3",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](http://example.org/x.png)", "３ ＋ ４", "٣ + ٤",
    "&lt;b&gt; 3 + 4", "<!-- 3 + 4 -->", "'; DROP TABLE pupils; --", "\\\\\\\\" * 200, "$" * 999, "`" * 999, "\n" * 999,
    "What is " + "of " * 300, "and " * 249, "is " * 330, "; " * 499, "= " * 499, "< " * 499, "1 = " * 249, "a = 1, " * 140,
    "f(x) = " * 140, "derivative " * 90, "integral " * 110, r"\begin{pmatrix}" * 60, r"\end{pmatrix}" * 60, "boxed(" * 150,
    r"\left(" * 160, r"\text{" * 160, "²" * 999, "½" * 999, "√" * 999, "∫" * 999, "±" * 99, "٪" * 99, "𝟛+𝟜", "²³¹⁻", "x₁₂",
    "3 + 4" * 250000,
]  # fmt: skip


def memory() -> int:
    """Resident memory of this process, in MB."""
    return psutil.Process().memory_info().rss // 1_000_000


def in_time(notebook, questions: list[str], answers: list[str]) -> list:
    """The checks, made within 4 seconds each at the first or second attempt: other work may hold up the first one."""
    for _ in range(2):
        started = time.monotonic()
        checks = notebook.check_answers(questions, answers)
        if time.monotonic() - started < 4 * len(questions):
            return checks
    raise AssertionError(f"too slow: {questions[0][:100]}")


def test_hostile_questions(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = memory()
    alone = [text for text in HOSTILE if text in ENDLESS]
    checks = in_time(notebook, HOSTILE, ["Answer: 8"] * len(HOSTILE))
    for text in alone:
        checks += in_time(notebook, [text], ["Answer: 8"])
    assert len(HOSTILE) >= 100 and len(alone) >= 4
    assert {check.status for check in checks} <= {"wrong", "cannot tell"}
    assert max(len(check.expected or "") for check in checks) <= 200
    assert list(tmp_path.iterdir()) == []
    assert memory() - before < 200


def test_hostile_answers(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = [
        (question, prefix + text)
        for text in HOSTILE
        for question, prefix in HOSTILE_AFTER
    ]
    assert [
        pair for pair in faults(notebook, pairs, "right") if "3" not in pair[1]
    ] == []
    assert list(tmp_path.iterdir()) == []


ENDLESS = (
    "What is (1+x)^1000",
    "Solve x^20 + x > 1",
    "What is 9^9^9",
    "3 + 4" * 250000,
)
HOSTILE_AFTER = [("What is 3 + 5?", ""), ("Solve x^2 = 10", "Answer: x = ")]
WORDS = (
    "What is|Solve|Factor|Expand|Simplify|derivative of|integral of|limit of|as x approaches|mean of|gcd of|Answer:|"
    "x = |or|and|from 0 to|% of|so|is|,|;|(|)|[|]|{|}|+|-|*|/|^|!|%|=|<|<=|√|π|∞|½|²|±|\\frac{|\\sqrt{|\\int|\\lim|"
    "\\boxed{|$|\\(|\\)|d/dx|dx|x|y|e|i|sin|ln|log_|0|1|2|3|7|12|0.5|100|999|import os|__class__|\n|\u202e|'|\"|&|"
    "\\\\|_|f(x) =|[[1, 2], [3, 4]]"
).split("|") + ["|"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(
    max_size=40
)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=100, max_size=100)


@settings(
    max_examples=int(os.environ.get("CHECKED_TEXTS", 300)) // 100,
    deadline=None,
    database=None,
)
@given(pairs=PAIRS)
def test_generated_texts(notebook, pairs):
    """A hundred texts at a time in one process; CHECKED_TEXTS=10000 in the environment tries ten thousand."""
    started = time.monotonic()
    checks = notebook.check_answers(*zip(*pairs))
    assert time.monotonic() - started < 4 * len(pairs)
    assert {check.status for check in checks} <= {"right", "wrong", "cannot tell"}


READABLE = st.recursive(
    st.sampled_from(["x", "2", "0.5", "π", "3/4", "12", "(-7)"]),
    lambda part: st.tuples(part, st.sampled_from([" + ", " - ", "*", "/", "^"]), part).map(lambda three: f"({''.join(three)})")
    | part.map("√({})".format) | part.map("|{}|".format) | part.map("sin({})".format),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=int(os.environ.get("CHECKED_TEXTS", 300)), deadline=None, database=None
)
@given(text=TEXTS | READABLE)
def test_the_reader_gives_a_formula_or_a_value_error(notebook, text):
    try:
        formula = notebook.read_formula(notebook.tidy(text))
    except ValueError:
        return
    assert {symbol.name for symbol in formula.free_symbols} <= set(text)


@pytest.mark.parametrize(
    "text, point, value",
    [
        ("x^2 - 4x + 3", 5, 8), ("2x(x + 1)", 3, 24), (r"\frac{x^2}{2}", 4, 8), ("√(x + 1)", 8, 3), ("|x - 7|", 2, 5),
        (r"2\frac{1}{2}", 0, 2.5), ("-x²", 3, -9), ("(-x)^2", 3, 9), ("6x⁻¹", 3, 2), ("sin²(x) + cos²(x)", 1, 1), ("e^x", 0, 1),
        ("ln(e)x", 4, 4), ("log_2(x)", 8, 3), ("3!x", 2, 12), ("sin 30°", 0, 0.5), (r"x\cdot\sqrt{16}", 2, 8), ("1,200x", 1, 1200),
    ],
)  # fmt: skip
def test_formulas_mean_what_one_types(notebook, text, point, value):
    formula = notebook.read_formula(notebook.tidy(text))
    assert formula.subs(
        {symbol: point for symbol in formula.free_symbols}
    ).evalf() == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["1/2x", "6/2(1+2)", "2^3^2", "e^2x", "√2x", "sin x/2", "sin^-1(x)", "5!!", "1/0", "0^0", "9^9^9", "10^9999", "30!", "f(x", "a.b"]
)  # fmt: skip
def test_what_is_unclear_or_too_large_is_not_read(notebook, text):
    with pytest.raises(ValueError):
        notebook.read_formula(notebook.tidy(text))


def test_the_length_of_a_message_costs_nothing(notebook):
    pairs = [("1 + " * 10**5 + "1", "7"), ("What is 3 + 4?", "7" * 10**6)]
    started = time.monotonic()
    assert {check.status for check in notebook.check_answers(*zip(*pairs))} == {
        "cannot tell"
    }
    assert time.monotonic() - started < 4
