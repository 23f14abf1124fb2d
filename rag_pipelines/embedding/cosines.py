"""How near a model puts a question to its answer, and to passages that have nothing to do with it.

What belongs here: measuring that once for a model. What does not: what follows for a search
(`query.statement`).

Cosines of one model say nothing about those of another: what is near by one is far by the next. So a few
questions of everyday life are embedded with what answers each of them. What is measured depends on the model
alone, on no document.
"""

from __future__ import annotations

from rag_pipelines.embedding.base import Embedder

ANSWERED = (
    (
        "How many days of holiday do I get in a year?",
        "Full-time employees are entitled to 28 days of paid annual leave, which are booked in the portal.",
    ),
    (
        "How do I reset my password?",
        "If you have forgotten your password, choose 'Reset password' on the login page; a link is sent to "
        "your e-mail address.",
    ),
    (
        "What causes the seasons on Earth?",
        "Because the axis of the Earth is tilted, each hemisphere receives more sunlight during one half of "
        "the orbit than during the other.",
    ),
    (
        "When was the bridge opened to traffic?",
        "Construction of the suspension bridge took four years; it was opened to traffic in May 1937.",
    ),
    (
        "Which symptoms does influenza have?",
        "Influenza begins suddenly with fever, a dry cough, headache, sore muscles and exhaustion.",
    ),
    (
        "What does the warranty cover?",
        "The manufacturer repairs or replaces parts that fail within two years through defects of material.",
    ),
    (
        "How is the interest on the loan calculated?",
        "Interest is charged daily on the outstanding balance, at the base rate plus two per cent.",
    ),
    (
        "How do bees make honey?",
        "Worker bees collect nectar and evaporate its water in the cells of the comb until it is honey.",
    ),
)
"""Questions, each with what answers it."""

LEAST_ERRORS = 4
"""Standard errors by which answers have to be nearer than other passages; else it tells nothing apart."""


def measure_cosines(embedder: Embedder) -> tuple[float, float] | None:
    """The mean cosine of questions to passages that do not answer them, and to those that do; None where a
    model does not tell them apart.

    Raises:
        EmbeddingError, TransientError: as of the embedder.
    """
    import numpy as np

    passages = embedder.embed_documents([answer for _, answer in ANSWERED])
    questions = np.stack([embedder.embed_query(question) for question, _ in ANSWERED])
    cosines = questions @ passages.T
    of_answer = np.eye(len(ANSWERED), dtype=bool)
    others = cosines[~of_answer]
    unrelated, answer = float(others.mean()), float(cosines[of_answer].mean())
    error = float(others.std()) / len(ANSWERED) ** 0.5
    return (unrelated, answer) if answer - unrelated > LEAST_ERRORS * error else None
