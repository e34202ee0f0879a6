"""Extract: the right sentence, word for word, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.late_interaction import MaxSimRanker
from adapters.overlap_ranker import OverlapRanker
from adapters.sentence_transformers import SentenceTransformerEmbedder
from processors.answer.check import AnswerBar
from processors.answer.cues import Asked, asked, fits
from processors.answer.extract import MOST_SENTENCES, Evidence, extract
from processors.answer.reader import Reading, RuleReader, Window
from processors.answer.words import coverage, rarity, stem, words
from processors.ports import Ranker
from tests.processors.answer.questions import sources

GATES = """The barrier at Woolwich

It was opened by the Queen in 1984. The barrier spans 520 metres and has ten gates. Each gate weighs 3,700 tonnes."""
TREATY = (
    "The treaty was signed at Karachi in 1960. It divides six rivers. Two countries share them because both need them."
)
DAM = "The Falk lift in Scotland is the only rotating lift. It lifts boats by 24 metres and replaces eleven locks."


@pytest.fixture(scope="module")
def maxsim() -> Ranker:
    pytest.importorskip("sentence_transformers", reason="needs the embed extra")
    return MaxSimRanker(SentenceTransformerEmbedder())


def found(question: str, *texts: str) -> Evidence:
    return extract(question, sources(*(texts or (GATES, TREATY, DAM))), OverlapRanker(), RuleReader())


@pytest.mark.parametrize(
    ("question", "held", "number"),
    [
        ("How many gates does the barrier have?", "ten gates", 1),
        ("When was the treaty signed?", "1960", 2),
        ("Where was the treaty signed?", "Karachi", 2),
        ("How heavy is each gate of the barrier?", "3,700 tonnes", 1),
        ("Why do two countries share the rivers?", "because both need them", 2),
        ("How many metres does the Falk lift boats?", "24 metres", 3),
    ],
)
def test_when_a_source_answers_then_that_sentence_is_quoted_with_its_number(
    question: str, held: str, number: int
) -> None:
    evidence = found(question)
    said = [(sentence.text, sentence.cites) for sentence in evidence.sentences]
    assert any(held in text and cites == (number,) for text, cites in said), said
    assert 1 <= len(said) <= MOST_SENTENCES


def test_when_quoted_then_every_sentence_stands_in_its_source() -> None:
    texts = (GATES, TREATY, DAM)
    for sentence in found("What is the barrier and where was the treaty signed?").sentences:
        assert sentence.text in " ".join(texts[sentence.cites[0] - 1].split())


def test_when_a_sentence_points_back_then_the_one_before_it_comes_along() -> None:
    said = [sentence.text for sentence in found("By how many metres are boats lifted?", DAM).sentences]
    assert said == [
        "The Falk lift in Scotland is the only rotating lift.",
        "It lifts boats by 24 metres and replaces eleven locks.",
    ]


def test_when_a_heading_matches_best_then_it_is_context_and_not_an_answer() -> None:
    said = [sentence.text for sentence in found("Who opened the barrier at Woolwich?", GATES).sentences]
    assert "The barrier at Woolwich" not in said
    assert said


def test_when_the_best_sentence_lacks_what_is_asked_for_then_its_neighbour_comes_along() -> None:
    spring = "The Fontaine de Vaucluse is the deepest spring that people know."
    depth = "In 1985 a submarine reached 308 metres."
    said = found("How deep is the spring of the Fontaine de Vaucluse?", f"{spring} {depth}").sentences
    assert [sentence.text for sentence in said] == [spring, depth]


@pytest.mark.parametrize("texts", [(), ("",), ("--- ***",), ("A heading only",)])
def test_when_there_is_nothing_to_quote_then_there_is_no_evidence(texts: tuple[str, ...]) -> None:
    assert extract("Why?", sources(*texts), OverlapRanker(), RuleReader()) == Evidence((), 0.0)


def test_when_nothing_is_near_then_nothing_is_said() -> None:
    evidence = found("Which bait do anglers prefer in Sweden?")
    assert evidence.sentences == ()
    assert evidence.confidence < 0.05


def test_when_names_are_missing_from_the_sources_then_it_is_less_sure() -> None:
    known = found("When was the treaty of the Indus signed at Karachi?", TREATY + " It is about the Indus.")
    unknown = found("When was the treaty of the Rhine signed at Bern?", TREATY + " It is about the Indus.")
    assert unknown.confidence < known.confidence


def test_when_asked_twice_then_the_same_comes_out() -> None:
    assert found("How many gates does the barrier have?") == found("How many gates does the barrier have?")


@pytest.mark.model
@pytest.mark.parametrize(
    ("question", "held"),
    [
        ("How many gates does the barrier at Woolwich have?", "ten gates"),
        ("where was the treaty signed", "Karachi"),
        ("By how much does the rotating lift raise boats?", "24 metres"),
        ("Who is the chief executive of Acme?", None),
        ("What is the capital of Norway?", None),
        ("How do I reset my password?", None),
    ],
)
def test_when_the_real_model_ranks_then_the_default_bar_tells_answers_from_none(
    question: str, held: str | None, maxsim: Ranker
) -> None:
    evidence = extract(question, sources(GATES, TREATY, DAM), maxsim, RuleReader())
    said = " ".join(sentence.text for sentence in evidence.sentences)
    assert (evidence.confidence >= AnswerBar().confidence) == (held is not None), (evidence.confidence, said)
    assert (held or "") in said


@pytest.mark.parametrize(
    ("question", "kind", "counted"),
    [
        ("When was it?", "time", ""),
        ("In what year did it end?", "time", ""),
        ("How many people died?", "count", "person"),
        ("How many people died when the dam of St. Francis broke?", "count", "person"),
        ("Who was king when it was built?", "person", ""),
        ("How much of the water is lost?", "count", "water"),
        ("What share is held?", "count", ""),
        ("How deep is it?", "measure", ""),
        ("Who wrote it?", "person", ""),
        ("To whom was it sold?", "person", ""),
        ("Where is it?", "place", ""),
        ("Which city is the largest?", "place", ""),
        ("Why did it fail?", "reason", ""),
        ("What is the reason for it?", "reason", ""),
        ("What is a weir?", "open", ""),
        ("", "open", ""),
    ],
)
def test_when_a_question_is_read_then_its_kind_is_known(question: str, kind: str, counted: str) -> None:
    read = asked(question)
    assert (read.kind, read.counted) == (kind, counted)


@pytest.mark.parametrize(
    ("question", "sentence", "fit"),
    [
        ("When was it built?", "It was built in 1861.", 1.0),
        ("When was it built?", "It was built of stone.", 0.0),
        ("How many gates are there?", "There are ten gates.", 1.0),
        ("How many gates are there?", "It was built in 1984.", 0.5),
        ("How many gates are there?", "There are gates.", 0.0),
        ("How many of the 10 gates are open?", "There are 10 of them.", 0.0),
        ("How long is it?", "It spans 520 metres.", 1.0),
        ("How long is it?", "It was built in 1984.", 0.5),
        ("Who built it?", "It was built by Anna Lee.", 1.0),
        ("Who is Anna Lee?", "It was built by Anna Lee.", 0.0),
        ("Where is it?", "It is in Kent.", 1.0),
        ("Why did it fail?", "It failed because of rain.", 1.0),
        ("What is it?", "Anything.", 0.5),
    ],
)
def test_when_a_sentence_is_read_then_it_fits_by_what_it_holds(question: str, sentence: str, fit: float) -> None:
    read: Asked = asked(question)
    assert fits(read, sentence) == fit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("writing", "wrote"),
        ("policies", "policy"),
        ("embeddings", "embedded"),
        ("indexes", "index"),
        ("deleted", "delete"),
        ("running", "run"),
        ("people's", "person"),
        ("weights", "weight"),
        ("created", "creation"),
    ],
)
def test_when_words_are_forms_of_one_then_their_stems_meet(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_when_words_are_read_then_numbers_stay_whole_and_accents_go() -> None:
    assert words("Grímsvötn's 1,836 people, 3.5 m: naïve café") == [
        "grimsvotn's",
        "1,836",
        "people",
        "3.5",
        "m",
        "naive",
        "cafe",
    ]


def test_when_a_word_is_in_no_text_then_missing_it_weighs_most() -> None:
    weight = rarity(["a common word", "another common word", "one common rarity"])
    assert coverage(["common", "unheard"], ["common"], weight) < 0.3
    assert coverage([], ["common"], weight) == 0.0


class _Certain:
    """A reader that is as sure as can be, of this or of the contrary."""

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def read(self, question: str, windows: Sequence[Window]) -> list[Reading]:
        return [Reading(window.start, window.start + 3, self.margin) for window in windows]


@pytest.mark.parametrize(("margin", "answers"), [(-1e6, False), (1e6, True)])
def test_when_a_reader_is_as_sure_as_can_be_then_confidence_follows_it(margin: float, answers: bool) -> None:
    evidence = extract("When was the treaty signed?", sources(GATES, TREATY, DAM), OverlapRanker(), _Certain(margin))
    assert bool(evidence.sentences) is answers
    assert (evidence.confidence > 0.99) is answers


def test_when_a_question_denies_then_a_reading_is_trusted_less_than_without() -> None:
    said, denied = (
        extract(question, sources(GATES, TREATY, DAM), OverlapRanker(), _Certain(2.0)).confidence
        for question in ("When was the treaty signed?", "When wasn't the treaty signed?")
    )
    assert denied < said - 0.1


class _Alike:
    """Finds every text equally near."""

    model = "alike"

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        return [1.0 if text == question else 0.7 for text in texts]


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("When was the treaty signed?", "When was the accord agreed?"),
        ("When was the accord agreed?", "In which year of that time was the accord agreed?"),
    ],
    ids=["of its own words", "short"],
)
def test_when_relevance_is_the_same_then_one_question_is_trusted_less(less: str, more: str) -> None:
    low, high = (extract(question, sources(TREATY), _Alike(), _Certain(0.0)).confidence for question in (less, more))
    assert low < high - 0.05


def test_when_the_reader_finds_the_words_elsewhere_then_that_sentence_is_quoted_first_with_them() -> None:
    class Elsewhere(_Certain):
        def read(self, question: str, windows: Sequence[Window]) -> list[Reading]:
            wanted = [window.text.find("ten gates", window.start) for window in windows]
            return [
                Reading(at, at + 9, 9.0) if at >= 0 else Reading(window.start, window.start, -9.0)
                for at, window in zip(wanted, windows, strict=True)
            ]

    evidence = extract("How many gates has the barrier?", sources(GATES, TREATY, DAM), OverlapRanker(), Elsewhere(0))
    assert [sentence.span for sentence in evidence.sentences if sentence.span] == ["ten gates"]


def test_when_the_reader_finds_the_answer_in_the_second_best_sentence_then_that_one_is_quoted() -> None:
    class Later(_Certain):
        def read(self, question: str, windows: Sequence[Window]) -> list[Reading]:
            return [Reading(0, 0, 9.0 if "1961" in window.text else -9.0) for window in windows]

    texts = ("The treaty was signed in 1960.", "The treaty was signed in 1961.")
    by_words = extract("When was the treaty signed?", sources(*texts), OverlapRanker(), RuleReader())
    read = extract("When was the treaty signed?", sources(*texts), OverlapRanker(), Later(0))
    assert [sentence.text for sentence in by_words.sentences] == [texts[0]]
    assert [sentence.text for sentence in read.sentences] == [texts[1]]
