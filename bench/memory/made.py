"""Notes of made-up users: of every kind of fact each user's own, with two questions, in near words and in others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["USERS", "Note", "notes"]

USERS: Final = 20
EACH: Final = 5
"""Notes of a user: neighbours share kinds of facts, never the fact itself."""

# What is said, how it is asked for in near words, how in others, and what twenty users say.
_KINDS: Final = (
    (
        "I work in the {} office.",
        "In which office do I work?",
        "Which city am I based in?",
        "Berlin Lisbon Oslo Turin Ghent Malmo Krakow Porto Graz Leeds "
        "Nantes Bilbao Tartu Zagreb Split Basel Cork Bergen Aarhus Lyon",
    ),
    (
        "My manager is called {}.",
        "What is my manager called?",
        "To whom do I report?",
        "Ansel Brunhild Corentin Dagny Eustace Fenna Gisela Hjalmar Ismene Jolanta "
        "Kasimir Leocadia Melisande Nikodem Ottoline Peregrine Quirin Rosalba Sieglinde Theobald",
    ),
    (
        "I am allergic to {}.",
        "What am I allergic to?",
        "Which food must I avoid?",
        "peanuts shrimps celery mustard lupin sesame walnuts eggs milk soya "
        "mussels kiwis almonds hazelnuts wheat buckwheat squid pistachios apples tomatoes",
    ),
    (
        "My locker has the number {}.",
        "Which number has my locker?",
        "Where are my belongings stored?",
        "417 208 933 154 702 861 345 590 628 119 276 483 755 904 367 542 811 690 238 975",
    ),
    (
        "Please answer me in {}.",
        "In which language should I be answered?",
        "Which language do I like best?",
        "Frisian Basque Breton Latvian Maltese Welsh Corsican Sorbian Ladin Faroese "
        "Galician Romansh Kashubian Occitan Sardinian Manx Livonian Aragonese Walloon Estonian",
    ),
    (
        "My train home leaves at {}.",
        "When does my train home leave?",
        "At what time do I have to be at the station?",
        "16:02 16:17 16:31 16:48 17:04 17:13 17:26 17:39 17:52 18:05 "
        "18:11 18:23 18:37 18:44 18:58 19:06 19:19 19:33 19:41 19:57",
    ),
    (
        "I am learning to play the {}.",
        "Which instrument am I learning to play?",
        "What music do I practise?",
        "bassoon cello dulcimer euphonium flugelhorn glockenspiel harpsichord kazoo lute mandolin "
        "oboe piccolo recorder sitar theorbo ukulele viola xylophone zither accordion",
    ),
    (
        "My daughter's name is {}.",
        "What is my daughter's name?",
        "Who is my child?",
        "Aurelia Birgitta Clemency Delphine Elowen Freya Greta Henrike Ilse Juno "
        "Kalina Liv Mathilda Nerys Odette Philippa Ronja Saskia Tamsin Ursula",
    ),
    (
        "My car is a {}.",
        "Which car is mine?",
        "What do I drive?",
        "Skoda Volvo Lancia Peugeot Dacia Seat Renault Opel Subaru Mazda "
        "Toyota Suzuki Honda Nissan Kia Hyundai Citroen Alpine Lotus Saab",
    ),
    (
        "I have booked my holiday on {}.",
        "Where have I booked my holiday?",
        "On which island will I rest?",
        "Crete Gotland Sylt Skye Madeira Elba Corfu Texel Bornholm Hvar "
        "Gozo Ibiza Naxos Paros Ischia Oland Jersey Menorca Samos Rhodes",
    ),
)


@dataclass(frozen=True)
class Note:
    """What a user wants kept, the fact in it, and how it is asked for."""

    user: str
    name: str
    text: str
    fact: str
    near: str
    other: str


def notes() -> Iterator[Note]:
    """A hundred notes of twenty users."""
    for number in range(USERS):
        for step in range(EACH):
            kind = (number + step) % len(_KINDS)
            said, near, other, facts = _KINDS[kind]
            fact = facts.split()[number]
            yield Note(f"user-{number}", f"note-{kind}", said.format(fact), fact, near, other)
