"""Whether two kinds of requests can be told apart by how long they take."""

from collections.abc import Callable, Sequence
from random import shuffle
from time import perf_counter

SAMPLES = 200  # of each kind
BOUND = 0.6  # 0.5 is what tossing a coin gets

Ask = Callable[[int], object]  # given the number of the sample


def told_apart(one: Ask, other: Ask) -> float:
    """How often who sees two times, one of each kind, says rightly which is which: the area under the ROC curve.

    The two come in an order that nobody knows, so that what else the machine does meets both alike. Where the first
    samples are over the bound as many again are taken, and all of them count: chance comes down with their number, to
    one in a million for two kinds that are alike, and a difference stays.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(2):
        for _ in range(SAMPLES):
            kinds = [(one, times[0]), (other, times[1])]
            shuffle(kinds)
            for ask, taken in kinds:
                start = perf_counter()
                ask(len(taken))
                taken.append(perf_counter() - start)
        found = area(*times)
        if found < BOUND:
            break
    return found


def area(ones: Sequence[float], others: Sequence[float]) -> float:
    """Of the better of the two guesses, that the longer is of the one kind, or of the other."""
    ranked = sorted([(taken, 0) for taken in ones] + [(taken, 1) for taken in others])
    ranks = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind)
    below = (ranks - len(others) * (len(others) + 1) / 2) / (len(ones) * len(others))
    return max(below, 1 - below)
