"""Remember: an answer becomes a turn of its session, after it was given."""

from __future__ import annotations

from collections.abc import Iterator

from processors.answer.sessions import Sessions, turn_of
from schemas.queries import AnswerGiven, AnswerWithheld, TurnRemembered


def remember(answer: AnswerGiven | AnswerWithheld, sessions: Sessions | None) -> Iterator[TurnRemembered]:
    """Adds the answer to the session it was given in, once, and says so. Last step, behind what the asker waits for.

    Nothing is remembered of a question without a session, of one that was refused or ran out of time, or of a turn
    that is older than sessions last. Raises what says that the sessions are away: the answer waits, nobody else does.
    """
    turn = turn_of(answer) if sessions and answer.session else None
    if sessions and turn and sessions.record(answer.tenant, answer.session, turn):
        yield TurnRemembered(tenant=answer.tenant, answer_id=answer.answer_id, session=answer.session)
