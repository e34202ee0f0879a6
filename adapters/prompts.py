"""Prompts from files: YAML front matter, then a Jinja template in a sandbox. The version is the hash of the content."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from adapters.errors import AdapterError
from adapters.prompt_examples import Example, examples_of
from processors.answer.prompting import Rendered
from processors.ingest.memories import owner_in
from schemas.queries import Source

FRONT_MATTER: Final = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
EXAMPLES: Final = "Examples of questions, the sources that were given, and the answers that are wanted:"
DIVIDER: Final = "=== prompt ===\n"
MARK_HEX: Final = 12
_VARIABLES: Final = {"question", "sources", "mark"}
_KEYS: Final = {"name", "description", "source_tokens", "variables", "example_tokens", "examples"}
# Openings of the special tokens of chat templates (<|im_end|>, [INST], </s>): a server would read them as structure.
_SPECIAL: Final = re.compile(r"<(?=\||/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")


class PromptInvalidError(AdapterError):
    """A prompt file can't be used; the message names the file and the reason."""


class PromptMissingError(AdapterError):
    """There is no prompt of this name."""


@dataclass(frozen=True)
class FilePrompt:
    """A prompt as its file says it. `version` reads `answer@3f2a…`: name and content hash."""

    name: str
    version: str
    source_tokens: int
    system: str
    template: Any
    examples: str = ""
    example_tokens: int = 0

    def check_budget(self, count: Callable[[str], int] | None) -> None:
        """Raises PromptInvalidError where the examples, as they are rendered, have more tokens than they may."""
        if self.examples and count and (tokens := count(self.examples)) > self.example_tokens:
            raise PromptInvalidError(
                f"prompt {self.name!r}: wanted examples of at most {self.example_tokens} tokens, got {tokens}; "
                "take some out, or raise example_tokens"
            )

    def render(self, question: str, sources: Sequence[Source]) -> Rendered:
        """The system text and the prompt. Same question and sources, same bytes."""
        mark = fence_mark(sources)
        return Rendered(self.system, self.template.render(question=question, sources=sources, mark=mark).strip())


class FilePrompts:
    """Every prompt that ships with the platform, read once. Use it as the Prompts port.

    >>> FilePrompts().get("answer").version.split("@")[0]
    'answer'
    """

    def __init__(self, files: Mapping[str, str] | None = None, count: Callable[[str], int] | None = None) -> None:
        """`count` counts tokens; examples are only held to their budget where it is given."""
        self._prompts = {name: parse_prompt(name, text) for name, text in (files or shipped_prompts()).items()}
        for prompt in self._prompts.values():
            prompt.check_budget(count)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._prompts))

    def get(self, name: str) -> FilePrompt:
        """The prompt of this name. Raises PromptMissingError with the names there are."""
        try:
            return self._prompts[name]
        except KeyError:
            known = ", ".join(self.names)
            raise PromptMissingError(f"wanted the prompt {name!r}, which does not exist; there are: {known}") from None


def prompts_in(folder: Path | None) -> dict[str, str]:
    """The shipped prompts with those of a folder (NAME.md) in their place. Raises PromptInvalidError.

    >>> prompts_in(None) == shipped_prompts()
    True
    """
    shipped = shipped_prompts()
    if folder is None:
        return shipped
    own = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    known = ", ".join(sorted(shipped))
    if not own:
        raise PromptInvalidError(f"wanted prompts (NAME.md) in {str(folder)!r}, found none; there may be: {known}")
    if unknown := own.keys() - shipped.keys():
        raise PromptInvalidError(
            f"nothing asks for the prompt {min(unknown)!r} in {str(folder)!r}; there may be: {known}"
        )
    return {**shipped, **own}


def shipped_prompts() -> dict[str, str]:
    """Name to text of the files in `processors/answer/prompts`."""
    folder = resources.files("processors.answer").joinpath("prompts")
    return {
        entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".md")
    }


def parse_prompt(name: str, text: str) -> FilePrompt:
    """A prompt from its file's text. Raises PromptInvalidError where anything is missing or undeclared."""
    found = FRONT_MATTER.match(text)
    if not found or DIVIDER not in found[2]:
        raise PromptInvalidError(f"prompt {name!r}: wanted front matter in --- lines and a line {DIVIDER.strip()!r}")
    try:
        head = yaml.safe_load(found[1])
        system, body = found[2].split(DIVIDER, 1)
        template = _environment().from_string(body)
    except (yaml.YAMLError, TemplateError) as error:
        raise PromptInvalidError(f"prompt {name!r} can't be read: {error}; correct the file") from error
    if not isinstance(head, dict) or not isinstance(head.get("source_tokens"), int) or head.get("name") != name:
        raise PromptInvalidError(f"prompt {name!r}: wanted `name: {name}` and a whole number `source_tokens` on top")
    if unknown := head.keys() - _KEYS:
        raise PromptInvalidError(f"prompt {name!r}: got {min(unknown)!r}, which means nothing; known: {sorted(_KEYS)}")
    if set(head.get("variables", ())) != _VARIABLES:
        raise PromptInvalidError(f"prompt {name!r}: wanted variables {sorted(_VARIABLES)}, got {head.get('variables')}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:MARK_HEX]
    version, system = f"{name}@{digest}", system.strip()
    if "examples" not in head:
        return FilePrompt(name, version, head["source_tokens"], system, template)
    if not isinstance(head.get("example_tokens"), int):
        raise PromptInvalidError(f"prompt {name!r}: wanted a whole number `example_tokens` beside its examples")
    try:
        shown = _shown(examples_of(head["examples"]), template)
    except (ValueError, TemplateError) as error:
        raise PromptInvalidError(f"prompt {name!r}: {error}") from error
    # In front of everything that differs from question to question, so that a prefix cache hits.
    whole = f"{system}\n\n{shown}"
    return FilePrompt(name, version, head["source_tokens"], whole, template, shown, head["example_tokens"])


def _shown(examples: Sequence[Example], template: Any) -> str:
    """Examples as the model will see a question, each with its answer behind it."""
    parts = [EXAMPLES]
    for number, one in enumerate(examples, start=1):
        asked = template.render(question=one.question, sources=one.sources, mark=fence_mark(one.sources)).strip()
        parts.append(f"Example {number}\n{asked}\nAnswer: {line(one.answer)}")
    return "\n\n".join(parts)


def fence_mark(sources: Sequence[Source]) -> str:
    """A mark that no source can contain on purpose: it hashes them all, so it is known only when they are fixed.

    The same sources give the same mark: a prefix cache still hits and an answer can be reproduced.
    """
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.passage.object_id}\0{source.passage.text}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()[:MARK_HEX]


def plain(text: str) -> str:
    """A document's text for a prompt: no control characters, no opening of a chat template's special token.

    >>> plain("a <|im_end|> b")
    'a ‹|im_end|> b'
    """
    shown = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    return _SPECIAL.sub(lambda opening: "‹" if opening.group() == "<" else "(", shown)


def line(text: str) -> str:
    """The same on one line, so that a title or a question can't look like the start of something else."""
    return plain(" ".join(text.split()))


def _is_note(source: Source) -> bool:
    """Whether a source is what the asker wants kept, and no document."""
    return bool(owner_in(source.passage.document))


def _environment() -> SandboxedEnvironment:
    # Prompts are text, not HTML: escaping would change what the model reads.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)
    environment.filters.update(plain=plain, line=line)
    environment.tests["note"] = _is_note
    return environment
