"""What personal data and secrets look like, and the checksum, range or word beside it that tells it from the rest.

Every expression takes time linear in the text: what repeats is bounded, and no two ways lead over the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from processors.ingest import checksums
from processors.ingest.secrets import (
    ASSIGNED,
    AUTHORIZATION,
    IN_ADDRESS,
    ISSUED,
    ISSUED_MARKS,
    PRIVATE_KEY,
    looks_drawn,
)

__all__ = ["LONG", "NEAR", "PATTERNS", "Pattern"]


NEAR: Final = 4
"""How far apart the digits of one number stand at most, whatever groups them (see `Pattern.digits`)."""
LONG: Final = 15
"""How long a word is at least that holds something with marks (see `Pattern.marks`); few words of a text are."""


def _yes(_: str) -> bool:
    return True


@dataclass(frozen=True)
class Pattern:
    """A kind of data: where it may be, and whether it is. The expression's group `it`, if it has one, is the data.

    `unless` speaks against it when it stands right before; `end` says where the data ends in what the expression took.
    The others only save time: where they say no, the expression finds nothing that holds. `needs` are small letters of
    which the text must hold one, `marks` the same as written and in a word of at least `LONG` characters, `shape` a
    cheaper expression that finds something too.
    `digits` is how many it holds at least, each at most `NEAR` characters from the next.
    """

    kind: str
    expression: re.Pattern[str]
    holds: Callable[[str], bool] = _yes
    needs: tuple[str, ...] = ()
    unless: re.Pattern[str] | None = None
    end: Callable[[str], int] = len
    digits: int = 0
    marks: tuple[str, ...] = ()
    shape: re.Pattern[str] | None = None

    @property
    def group(self) -> str | int:
        return "it" if "it" in self.expression.groupindex else 0


def _count(text: str) -> int:
    return sum("0" <= char <= "9" for char in text)


def ipv4_holds(text: str) -> bool:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text.startswith(("0.", "255.")))


def ipv6_holds(text: str) -> bool:
    """Whether it is an address that says where somebody is: none of `::1`, and no words between colons."""
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified) and _count(text) > 0 and len(text) > 4


def mac_holds(text: str) -> bool:
    bare = re.sub(r"[^0-9a-f]", "", text.lower())
    return bare not in ("0" * 12, "f" * 12) and ("." not in text or not bare.isdigit())


_FILES: Final = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "css", "js", "ts", "md", "txt", "html", "local", "internal"}
)


def email_holds(text: str) -> bool:
    """Whether it is an address of a person: no file (`logo@2x.png`), no package version, no repository's `git@`."""
    local, _, domain = text.rpartition("@")
    *labels, top = domain.lower().split(".")
    numbered = len(labels) > 1 and all(label.isdigit() for label in labels)
    return top not in _FILES and local.lower() != "git" and not numbered and ".." not in local


def _in_range(least: int, most: int) -> Callable[[str], bool]:
    return lambda text: least <= _count(text) <= most


_DATE: Final = re.compile(r"[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{2,4}(?![0-9])|[0-9]{4}-[0-9]{2}-[0-9]{2}")


def trunk_holds(text: str) -> bool:
    """Whether a number with a leading 0 may be dialled: 9 to 12 digits, and no date."""
    return 9 <= _count(text) <= 12 and not _DATE.match(text.lstrip("("))


def birth_holds(text: str) -> bool:
    """Whether a date may be one of birth of somebody alive or remembered: its year is between 1880 and 2049."""
    years = re.findall(r"[0-9]{4}", text)
    numbers = [int(number) for number in re.findall(r"(?<![0-9])[0-9]{1,2}(?![0-9])", text)]
    return all("1880" <= year < "2050" for year in years) and all(1 <= number <= 99 for number in numbers)


def passport_holds(text: str) -> bool:
    return _count(text) >= 5 and len(text) >= 7


_THING: Final = re.compile(
    r"(?<!\w)(?:part|order|serial|sku|p/?n|s/?n|item|invoice|model|ref(?:erence)?|isbn(?:-1[03])?|issn|ean|gtin|tracking|batch|lot|ticket"
    r"|case|article|artikel|bestell|auftrags?|rechnungs?|teile|seriennummer|pieza|pedido|commande|facture|pièce|ordine)"
    r"[\w .:#°-]{0,16}$",
    re.IGNORECASE,
)
_VERSION: Final = re.compile(
    r"(?<!\w)(?:versi[oó]ne?|ver\.?|v|release|build|firmware|driver|section|chapter|kapitel|abschnitt|§|upgrade to"
    r"|oid) ?$",
    re.IGNORECASE,
)
# A number called by one of these is a number to dial, whatever its shape.
_DIALLED: Final = (
    r"(?:tel|telephone|telefon|tel[eé]fono|t[eé]l[eé]phone|telefone|phone|fon|mobile?|m[oó]vil|cellulare|celular|handy"
    r"|cell|fax|whatsapp|sms|call|dial|ring|appelez|llame|chiamare|anrufen|ruf|bel|zadzwoń|komórka)"
)
_MONTH: Final = r"(?:de )?[^\W\d_]{3,12}\.?(?: de)?"
_DAY: Final = r"[0-9]{1,2}(?:\.|st|nd|rd|th|er|º)?"
_BORN: Final = (
    r"(?:born|date of birth|birth ?date|birthday|d\.?o\.?b\.?|geboren|geb\.|geburtsdatum|geburtstag|née?"
    r"|date de naissance|fecha de nacimiento|nacid[oa]|nat[oa]|data di nascita"
    r"|data de nascimento|nascid[oa]|data urodzenia|urodzon[ya]"
    r"|geboortedatum|född|födelsedatum)"
)
_PASS: Final = r"(?:passport|reisepass|passeport|pasaporte|passaporto|passaporte|paszport|paspoort|pass-?nr)\w{0,8}"
_NUMBER: Final = r"(?i:\s{1,2}(?:no|nr|n[º°o]|num|number|nummer|num[ée]ro|n[uú]mero|numer|nummer)\.?)?"
_IS: Final = r"\s?[:#=]?\s{0,2}(?:(?:is|was|ist|lautet|es|est|è|é|to|jest) )?"


def _called(words: str, value: str) -> re.Pattern[str]:
    """A value that stands right behind a word which says what it is."""
    return re.compile(rf"(?<!\w)(?i:{words}){_NUMBER}{_IS}(?P<it>{value})(?![\w-])")


def _id(words: str, value: str, holds: Callable[[str], bool], digits: int, *needs: str) -> Pattern:
    return Pattern("national_id", _called(words, value), holds, needs, digits=digits)


_GROUPS: Final = r"[0-9](?:[ .-]?[0-9])"

PATTERNS: Final = (
    Pattern("secret", PRIVATE_KEY, needs=("private key",)),
    Pattern("secret", ISSUED, marks=ISSUED_MARKS),
    Pattern("secret", IN_ADDRESS, needs=("://",)),
    Pattern(
        "secret",
        ASSIGNED,
        looks_drawn,
        ("key", "secret", "token", "pass", "pwd", "credential", "wort", "contrase", "senha", "hasł", "wacht"),
    ),
    Pattern("secret", AUTHORIZATION, looks_drawn, ("bearer", "basic")),
    Pattern(
        "iban",
        re.compile(r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}"),
        lambda t: bool(t),
        end=checksums.iban_end,
        digits=2,
        shape=re.compile(r"[A-Z]{2}[0-9]{2}"),
    ),
    Pattern(
        "national_id",
        re.compile(r"(?<![\w-])[A-Z]{6}[0-9L-V]{2}[ABCDEHLMPRST][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z](?![\w-])"),
        checksums.codice_fiscale_holds,
        shape=re.compile(r"[A-Z][A-Z][A-Z]"),
    ),
    Pattern(
        "national_id",
        re.compile(r"(?<![\w-])(?:[XYZ]-?[0-9]{7}|[0-9]{8})-?[A-Z](?![\w-])"),
        checksums.dni_holds,
        digits=7,
    ),
    Pattern(
        "national_id",
        re.compile(r"(?<![\w-])[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}(?![\w-])"),
        checksums.nir_holds,
        digits=14,
    ),
    Pattern(
        "national_id",
        re.compile(r"(?<![\w.-])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![\w-])"),
        checksums.cpf_holds,
        digits=11,
    ),
    Pattern(
        "national_id",
        re.compile(r"(?<![\w-])(?:19|20)?[0-9]{6}[-+][0-9]{4}(?![\w-])"),
        checksums.personnummer_holds,
        digits=10,
    ),
    Pattern(
        "national_id",
        re.compile(
            r"(?<![\w-])(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] "
            r"[0-9]{2} [0-9]{2} [0-9]{2} [A-D](?!\w)"
        ),
        digits=6,
    ),
    _id(
        r"national insurance|ni number|nino",
        r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]",
        _yes,
        6,
        "insurance",
        "ni number",
        "nino",
    ),
    _id("cpf", r"[0-9]{11}", checksums.cpf_holds, 11, "cpf"),
    _id("nhs", _GROUPS + "{9}", checksums.nhs_holds, 10, "nhs"),
    _id(
        r"steuer-?id(?:ent\w{0,20})?|steuerliche id\w{0,20}|idnr\.?|tax id|steuernummer",
        _GROUPS + "{10}",
        checksums.steuer_id_holds,
        11,
        "steuer",
        "idnr",
        "tax id",
    ),
    _id(r"bsn|burgerservicenummer|sofinummer", _GROUPS + "{8}", checksums.bsn_holds, 9, "bsn", "nummer"),
    _id("pesel", r"[0-9]{11}", checksums.pesel_holds, 11, "pesel"),
    _id(r"aadhaar|aadhar|uidai|uid", _GROUPS + "{11}", checksums.aadhaar_holds, 12, "aadh", "uid"),
    _id(r"sin|social insurance", _GROUPS + "{8}", checksums.sin_holds, 9, "sin", "insurance"),
    Pattern(
        "card",
        re.compile(
            r"(?<![\w.+-])(?:[0-9]{13,19}|[0-9]{4}(?P<a>[ -])[0-9]{4}(?P=a)[0-9]{4}(?P=a)[0-9]{4}(?:(?P=a)[0-9]{3})?"
            r"|[0-9]{4}(?P<b>[ -])[0-9]{6}(?P=b)[0-9]{4,5})(?![\w-])"
        ),
        checksums.card_holds,
        digits=13,
    ),
    Pattern(
        "ssn",
        re.compile(r"(?<![\w.-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])"),
        checksums.ssn_holds,
        unless=_THING,
        digits=9,
    ),
    Pattern(
        "ssn",
        _called("ssn|social security", r"[0-9]{3} ?[0-9]{2} ?[0-9]{4}"),
        checksums.ssn_holds,
        ("ssn", "social sec"),
        digits=9,
    ),
    Pattern(
        "passport",
        _called(_PASS, r"[A-Z]{0,3}[0-9]{6,9}[A-Z]?|[CFGHJKLMNPRTVWXYZ][0-9A-Z]{8}"),
        passport_holds,
        ("pass", "pasaporte", "paszport", "paspoort"),
        digits=5,
    ),
    Pattern(
        "birth_date",
        re.compile(
            rf"(?<!\w)(?i:{_BORN})(?!\w)[^0-9\n]{{0,40}}?\n?(?<![\w.-])(?P<it>[0-9]{{4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}"
            rf"|[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.](?:[0-9]{{4}}|[0-9]{{2}})|{_DAY} {_MONTH},? [0-9]{{4}}"
            rf"|[^\W\d_]{{3,12}}\.? {_DAY},? [0-9]{{4}})(?![\w-])"
        ),
        birth_holds,
        ("born", "birth", "ob", "geb", "née", "né ", "naiss", "nac", "nat", "nasc", "urodz", "född", "föd", "d.o.b"),
        digits=4,
    ),
    Pattern(
        "email",
        re.compile(r"(?<![\w.+%'-])[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w@])"),
        email_holds,
        ("@",),
    ),
    Pattern(
        "mac",
        re.compile(
            r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}(?P<a>[:-])(?:[0-9A-Fa-f]{2}(?P=a)){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:-])"
        ),
        mac_holds,
    ),
    Pattern(
        "ipv6",
        re.compile(
            r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?:(?::[0-9A-Fa-f]{1,4}){1,7}|[0-9A-Fa-f]{1,4}|:)"
            r"(?:[0-9A-Fa-f:]{0,30}(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])"
            r"|(?<![\w:.]):(?::[0-9A-Fa-f]{1,4}){2,7}(?![\w:])"
        ),
        ipv6_holds,
        (":",),
    ),
    Pattern(
        "ipv4",
        re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9]|-[a-z])"),
        ipv4_holds,
        (".",),
        unless=_VERSION,
        digits=4,
    ),
    Pattern(
        "phone",
        re.compile(r"(?<![\w.+])\(?\+ ?\(?[1-9](?:[ \u00a0./()-]{0,3}+[0-9]){7,14}(?!\w)"),
        _in_range(8, 15),
        ("+",),
        digits=8,
    ),
    Pattern(
        "phone",
        re.compile(r"(?<![\w.+-])(?<![0-9] )00[1-9][0-9]{0,2}[ /-](?:[0-9()]{1,8}[ /-]?){1,6}+(?<=[0-9])(?!\w)"),
        _in_range(10, 17),
        ("00",),
        digits=3,
    ),
    Pattern(
        "phone",
        re.compile(
            r"(?<![\w.+-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}(?P<a>[ .-]))"
            r"[2-9][0-9]{2}(?(a)(?P=a)|[ .-])[0-9]{4}(?![\w-])"
        ),
        unless=_THING,
        digits=10,
    ),
    Pattern(
        "phone",
        re.compile(r"(?<![\w.+/-])(?<![0-9] )\(?0[1-9][0-9]{0,4}\)?(?:[ /.-]{1,3}[0-9]{2,8}){1,5}(?![\w-]|\.[0-9])"),
        trunk_holds,
        unless=_THING,
        digits=9,
    ),
    Pattern(
        "phone",
        re.compile(
            rf"(?<!\w)(?i:{_DIALLED})(?!\w)[^0-9\n]{{0,24}}?"
            r"(?P<it>\(?[0-9](?:[ \u00a0./()-]{0,2}+[0-9]){6,14})(?![\w-])"
        ),
        lambda text: 7 <= _count(text) <= 15 and not _DATE.match(text),
        digits=7,
    ),
)
"""In this order: what an earlier one takes, a later one can't."""
