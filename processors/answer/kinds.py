"""Kinds of questions, by closed lists: what is said to whoever is there, and what names nothing that can be looked for.

Conservative: what is not wholly one of these is looked for in the documents.
"""

from __future__ import annotations

import re
from typing import Final

from processors.answer.words import STOP_WORDS, words
from schemas.queries import QueryKind

__all__ = ["NAMES_NOTHING", "TALK", "kind_of"]

TALK: Final = "Ask a question about the documents here: it is answered from them, and each answer says where it stands."
NAMES_NOTHING: Final = "The question names nothing that could be looked for. Say what it is about."

# As `words` gives them, in English, German, French and Spanish.
_SAID: Final = tuple(
    line.strip()
    for line in """
    hi; hello; hey; hi there; hello there; hey there; howdy; greetings; good day; good morning; good afternoon
    good evening; good night; how are you; how are you doing; how are you today; nice to meet you
    thanks; thank you; thank you very much; thank you so much; thanks a lot; many thanks; thanks again; thx
    ok thanks; ok thank you; ok; okay; great thanks; great thank you; you are welcome; you're welcome
    bye; bye bye; goodbye; good bye; see you; see you later; have a nice day; have a good day
    who are you; what are you; what is your name; what's your name; are you a bot; are you a robot; are you human
    what can you do; what can you do for me; what do you do; what can i ask; what can i ask you; how do you work
    how can you help; how can you help me; can you help me; please help; help; help me
    hallo; guten tag; guten morgen; guten abend; danke; danke schon; vielen dank; tschuss; auf wiedersehen; wer bist du
    was kannst du; wie geht es dir; bonjour; bonsoir; salut; merci; merci beaucoup; au revoir; qui es tu
    hola; buenos dias; buenas tardes; buenas noches; gracias; muchas gracias; adios; quien eres; que puedes hacer
    """.replace(";", "\n").splitlines()
    if line.strip()
)
_ALL_SAID: Final = re.compile(f"(?:(?:{'|'.join(map(re.escape, sorted(_SAID, key=len, reverse=True)))})(?: |$))+")


def kind_of(question: str) -> QueryKind:
    """What kind of answer a question wants.

    >>> kind_of("Hello, what can you do?"), kind_of("Hello, who wrote Hello?"), kind_of("And why is that?")
    ('direct', 'retrieval', 'out_of_scope')
    """
    said = words(question)
    if _ALL_SAID.fullmatch(" ".join(said)):
        return "direct"
    # The list of small words is of English: in another language there is always one that is not on it.
    return "retrieval" if set(said) - STOP_WORDS or _writes_names(question) else "out_of_scope"


def _writes_names(question: str) -> bool:
    """Whether small words are written as names are: US, IT, The Who."""
    first, *others = question.split() or [""]
    return any(len(word) > 1 and word.isupper() for word in (first, *others)) or any(
        word[0].isupper() and word != "I" for word in others
    )
