"""The table of generations: what serves whom, folded from the log."""

from __future__ import annotations

import pytest

from processors.ingest.generations import Choice, GenerationTable, Identity, differences, require_name
from schemas.documents import GenerationRegistered, GenerationState, IndexGeneration


def registered(name: str, state: GenerationState = "living", corpus: str = "main") -> GenerationRegistered:
    return GenerationRegistered(
        tenant="", corpus=corpus, generation=name, model="m", dimension=4, fingerprint="f", state=state
    )


def serves(name: str, *, tenants: dict[str, str] | None = None, corpus: str = "main") -> IndexGeneration:
    return IndexGeneration(tenant="", corpus=corpus, generation=name, previous="g0", tenants=tenants or {})


def folded(*events: GenerationRegistered | IndexGeneration) -> GenerationTable:
    table = GenerationTable("main")
    for event in events:
        table.fold(event)
    return table


def test_when_nothing_was_promoted_then_there_is_no_choice() -> None:
    assert folded(registered("g1")).choice is None


def test_when_promoted_again_then_the_newest_counts_whole() -> None:
    table = folded(serves("g1", tenants={"acme": "g2"}), serves("g3"))
    assert table.choice == Choice("g3", "g0", {})


def test_when_a_canary_runs_then_its_tenants_alone_are_served_by_it() -> None:
    choice = folded(serves("g1", tenants={"acme": "g2"})).choice
    assert choice is not None
    assert (choice.of("acme"), choice.of("other")) == ("g2", "g1")
    assert choice.serving == {"g1", "g2"}


def test_when_retired_then_it_lives_no_longer_and_is_remembered() -> None:
    table = folded(registered("g1"), registered("g2"), registered("g2", "retired"))
    assert set(table.living()) == {"g1"}
    assert (table.retired("g2"), table.retired("g1"), table.retired("unheard")) == (True, False, False)


@pytest.mark.parametrize(
    "event",
    [
        registered("../g2"),
        registered("g2", corpus="other"),
        serves("g2/../../etc"),
        serves("g2", corpus="other"),
        serves("g2", tenants={"acme": "/etc"}),
    ],
)
def test_when_an_event_is_of_others_or_names_a_path_then_it_is_passed_over(
    event: GenerationRegistered | IndexGeneration,
) -> None:
    table = folded(event)
    assert (table.registered, table.choice) == ({}, None)


@pytest.mark.parametrize("name", ["", "G2", "2g", "g-2", "g 2", "g.2", "g" * 32])
def test_when_a_name_cant_be_a_folder_and_a_collection_then_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="wanted a name"):
        require_name(name)


@pytest.mark.parametrize(
    ("recorded", "wanted", "said"),
    [
        (Identity(), Identity("a", 4, "f"), []),
        (Identity("a", 4, "f"), Identity("a", 4), []),
        (Identity("a", 4, "f"), Identity("b", 8, "h"), ["model a, not b", "dimension 4, not 8", "chunking f, not h"]),
    ],
)
def test_when_identities_contradict_each_other_then_it_says_where(
    recorded: Identity, wanted: Identity, said: list[str]
) -> None:
    assert differences(recorded, wanted) == said
