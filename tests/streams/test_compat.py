"""Compat: each kind of difference is found, said with what it means, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.prompts import FilePrompts, shipped_prompts
from streams.compat import MEANINGS, PinsError, compared, read, write
from streams.pins import Pins, pins_of
from streams.settings import Settings

BASE: dict[str, Any] = {"embed": {"model": "hashing"}}
CUT = {"chunking": {"fingerprint"}}


def here(**given: Any) -> Pins:
    return pins_of(Settings(**{**BASE, **given}))


def differing(pinned: Pins, now: Pins) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in compared(pinned, now).differences:
        found.setdefault(one.section, set()).add(one.name)
    return found


@pytest.mark.parametrize(
    ("given", "sections"),
    [
        ({}, {}),
        ({"embed": {"model": "hashing", "dimension": 128}}, {"embedding": {"model", "dimension"}, **CUT}),
        ({"embed": {"model": "minilm"}}, {"embedding": {"model", "weights"}, "reader": {"version"}, **CUT}),
        ({"chunking": {"max_tokens": 150}}, CUT),
        ({"chunking": {"by_type": {"text/html": {"strategy": "sentence"}}}}, CUT),
        ({"retrieve": {"passages": 4}}, {"answering": {"retrieve.passages"}}),
        ({"retrieve": {"filters": {"year": {"kind": "number"}}}}, {"answering": {"retrieve.filters"}}),
        ({"retrieve": {"tenant_filters": {"acme": {"x": {}}}}}, {"answering": {"retrieve.tenant_filters"}}),
        ({"scope": {"topics": {"weather": ["Will it rain?"]}}}, {"answering": {"scope"}}),
        ({"memory": {"recalled": 1}}, {"answering": {"memory.recalled"}}),
        ({"generate": {"support_bar": 0.7}}, {"answering": {"generate.support_bar"}}),
        ({"generate": {"url": "http://m/v1", "model": "m"}}, {"answering": {"generate.writer", "generate.model"}}),
        ({"models": {"small_url": "http://s"}}, {"answering": {"models.small"}}),
        ({"redaction": {"default": {"email": "mask"}}}, {"redaction": {"all.email"}, "outlet": {"all.email"}}),
        ({"redaction": {"tenants": {"acme": {"card": "allow"}}}}, {"redaction": "acme", "outlet": "acme"}),
        ({"outlet": {"kinds": {"phone": "mask"}}}, {"outlet": {"all.phone"}}),
        ({"outlet": {"phrases": ["Falcon"]}}, {"outlet": {"all.phrases"}}),
        ({"outlet": {"tenants": {"acme": {"on": False}}}}, {"outlet": "acme"}),
        # What does not decide what an answer says.
        ({"generate": {"timeout_s": 5, "api_key": "k", "salt_secret": "s"}, "kafka": {"partitions": 7}}, {}),
        ({"redaction": {"token_secret": "other"}}, {}),
    ],
)  # fmt: skip
def test_when_a_setting_changes_then_what_it_decides_differs_and_nothing_else(
    given: dict[str, Any], sections: dict[str, Any]
) -> None:
    found = differing(here(), here(**given))
    assert found.keys() == sections.keys()
    for section, names in sections.items():
        if isinstance(names, set):
            assert found[section] == names
        else:
            assert all(name.startswith(f"{names}.") for name in found[section])


def test_when_a_prompt_changes_by_one_character_then_it_differs() -> None:
    longer = FilePrompts({**shipped_prompts(), "answer": f"{shipped_prompts()['answer']} "})
    assert differing(here(), pins_of(Settings(**BASE), longer)) == {"prompts": {"answer"}}


def test_when_a_folder_of_prompts_is_set_then_its_prompts_differ_and_not_its_place(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text(shipped_prompts()["answer"], encoding="utf-8")
    assert differing(here(), here(generate={"prompts": tmp_path})) == {}
    (tmp_path / "answer.md").write_text(f"{shipped_prompts()['answer']} ", encoding="utf-8")
    assert differing(here(), here(generate={"prompts": tmp_path})) == {"prompts": {"answer"}}


def test_when_a_name_is_only_on_one_side_then_it_differs() -> None:
    pinned = Pins({"schemas": {"a": "1", "gone": "1"}, "later": {"x": 1}})
    found = compared(pinned, Pins({"schemas": {"a": "1", "new": "1"}}))
    assert [(one.section, one.name, one.pinned, one.here) for one in found.differences] == [
        ("schemas", "gone", "1", None),
        ("schemas", "new", None, "1"),
        ("later", "x", 1, None),
    ]
    assert "a section that this release does not know" in found.differences[-1].meaning.means


def test_when_one_side_can_not_tell_a_value_then_it_is_not_compared_and_that_is_said() -> None:
    told, untold = ({"embedding": {"weights": value, "model": "m"}} for value in ("w 1", None))
    found = compared(Pins(told), Pins(untold))
    assert (found.differences, found.not_compared) == ((), ("embedding.weights",))


def test_when_a_truth_becomes_a_number_then_it_differs() -> None:
    assert compared(Pins({"answering": {"x": True}}), Pins({"answering": {"x": 1}})).differences


def test_when_pins_are_written_and_read_then_nothing_differs(tmp_path: Path) -> None:
    narrowed = {"filters": {"year": {"kind": "number"}}}
    scope = {"topics": {"weather": ["Will it rain?"]}}
    pins = here(retrieve=narrowed, scope=scope, outlet={"phrases": ["Projekt Fälkchen"]}, generate={"model": "yes"})
    write(tmp_path / "pins.yaml", pins)
    text = (tmp_path / "pins.yaml").read_text(encoding="utf-8")
    assert compared(read(tmp_path / "pins.yaml"), pins).differences == ()
    assert json.loads(json.dumps(dict(pins.sections), allow_nan=False))
    assert f"pipeline: {pins.pipeline}" in text and "Fälkchen" not in text
    assert all(len(line) < 200 for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "found no file; write one with: headwater compat pin"),
        ("", "wanted `format: 1` on top"),
        ("format: 2\n", "wanted `format: 1` on top"),
        ("format: 1\nprompts: [a]\n", "wanted sections of names and values"),
        ("format: 1\nprompts: {answer: [a]}\n", "wanted a plain value for prompts.answer, got a list"),
        ("a: b: c", "can't be used"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_when_pins_can_not_be_read_then_the_error_says_how_to_write_them(
    text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "pins.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(PinsError, match="headwater compat pin") as raised:
        read(path)
    assert said in str(raised.value)


def test_when_anything_that_makes_answers_differs_then_the_pipeline_has_another_name() -> None:
    made = [
        here(),
        here(retrieve={"passages": 4}),
        here(outlet={"phrases": ["Falcon"]}),
        here(embed={"model": "hashing", "dimension": 128}),
        here(generate={"max_tokens": 9}),
    ]
    assert len({pins.pipeline for pins in made}) == len(made)
    sections = here().sections
    uninstalled = Pins({**sections, "embedding": {**sections["embedding"], "weights": None}})
    assert uninstalled.pipeline == here().pipeline
    # How documents are cut is the generation's name, not the pipeline's.
    assert here(chunking={"max_tokens": 150}).pipeline == here().pipeline
    assert here(redaction={"token_secret": "x"}).pipeline == here().pipeline


def test_when_a_section_is_pinned_then_it_has_a_meaning() -> None:
    assert here().sections.keys() == MEANINGS.keys()
    assert yaml.safe_load(yaml.safe_dump({name: dict(one) for name, one in here().sections.items()}))


def test_when_fields_and_topics_are_declared_then_pins_can_be_written_and_do_not_say_their_words(
    tmp_path: Path,
) -> None:
    values = {"Falcon": ["bird"]}
    declared = {"filters": {"edition": {"kind": "choice", "values": values, "phrases": ["in {value}"]}}}
    pins = here(retrieve=declared, scope={"tenant_topics": {"acme": {"takeovers": ["Who buys Falcon?"]}}})
    write(tmp_path / "pins.yaml", pins)
    assert not compared(read(tmp_path / "pins.yaml"), pins).differences
    told = (tmp_path / "pins.yaml").read_text()
    assert not any(word in told for word in ("Falcon", "bird", "takeovers", "acme"))
