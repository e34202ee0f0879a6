"""What personal data and secrets look like, and the checksum or rule that tells them from what only looks like them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

__all__ = ["PATTERNS", "Pattern"]


@dataclass(frozen=True)
class Pattern:
    """A kind of data: where it may be, and whether it is. The expression's group `it`, if it has one, is the data."""

    kind: str
    expression: re.Pattern[str]
    holds: Callable[[str], bool] = lambda _: True


def _digits(text: str) -> str:
    return "".join(char for char in text if "0" <= char <= "9")


# Lengths in use, and first digits of the payment networks: one number in ten has a right check digit by chance.
CARD_LENGTHS: Final = frozenset({13, 14, 15, 16, 19})
CARD_NETWORKS: Final = frozenset({2, 3, 4, 5, 6})


def luhn_holds(text: str) -> bool:
    """Whether a card number's check digit is right (ISO/IEC 7812-1, annex B).

    >>> luhn_holds("4111 1111 1111 1111"), luhn_holds("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(char) for char in _digits(text)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return len(digits) in CARD_LENGTHS and digits[0] in CARD_NETWORKS and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


# ISO 13616 registry: how long an IBAN of a country is.
IBAN_LENGTHS: Final = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL", "19": "MK SI", "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS", "23": "AE GI IL IQ TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "PT", "26": "IS TR", "27": "FR GR IT MC MR SM",
        "28": "AL AZ CY DO GT HU LB PL SV BY", "29": "BR PS QA UA", "30": "JO KW MU", "31": "MT SC", "32": "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip


def iban_holds(text: str) -> bool:
    """Whether an IBAN has its country's length and a right checksum (ISO 7064, mod 97-10).

    >>> iban_holds("DE89 3704 0044 0532 0130 00"), iban_holds("DE89 3704 0044 0532 0130 01")
    (True, False)
    """
    bare = "".join(text.split()).upper()
    if IBAN_LENGTHS.get(bare[:2]) != len(bare):
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def ssn_holds(text: str) -> bool:
    """Whether a US social security number can have been issued (no 000, 666 or 9xx, no zero group)."""
    area, group, serial = re.split(r"[- ]", text)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def ipv4_holds(text: str) -> bool:
    try:
        return not (IPv4Address(text).is_loopback or IPv4Address(text).is_unspecified)
    except AddressValueError:
        return False


def phone_holds(text: str) -> bool:
    """Whether the digits may be dialled: 9 to 15 of them with a country code, 10 of a North American number else."""
    count = len(_digits(text))
    return 9 <= count <= 15 if text.startswith(("+", "00")) else count == 10


# Words and placeholders have less than this many bits per character; keys that were drawn at random have more.
KEY_BITS_PER_CHAR: Final = 3.0


def looks_random(text: str) -> bool:
    """Whether a value looks drawn at random: letters and digits, and enough entropy per character."""
    counts = Counter(text).values()
    bits = -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
    return bits >= KEY_BITS_PER_CHAR and any(char.isdigit() for char in text) and any(char.isalpha() for char in text)


_KNOWN_KEYS: Final = r"""
    (?:AKIA|ASIA)[0-9A-Z]{16}                                  # AWS
  | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{22,}  # GitHub
  | glpat-[A-Za-z0-9_-]{20,}                                   # GitLab
  | xox[abeprs]-[A-Za-z0-9-]{10,}                              # Slack
  | sk-[A-Za-z0-9_-]{20,}                                      # model providers
  | [sr]k_(?:live|test)_[A-Za-z0-9]{16,}                       # Stripe
  | AIza[0-9A-Za-z_-]{35}                                      # Google
  | npm_[A-Za-z0-9]{36} | hf_[A-Za-z0-9]{30,}                  # npm, Hugging Face
  | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}  # JWT
"""

PATTERNS: Final = (
    Pattern(
        "secret",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    ),
    Pattern("secret", re.compile(rf"(?<![A-Za-z0-9_-])(?:{_KNOWN_KEYS})(?![A-Za-z0-9])", re.VERBOSE)),
    Pattern(
        "secret",
        re.compile(
            r"(?:api[_-]?key|secret(?:[_-]?key)?|access[_-]?(?:key|token)|auth[_-]?token|password|passwd|token)"
            r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<it>[A-Za-z0-9+/_.~-]{12,256}={0,2})",
            re.IGNORECASE,
        ),
        looks_random,
    ),
    Pattern("secret", re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:(?P<it>[^\s:/@]{3,128})@", re.IGNORECASE)),
    Pattern("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban_holds),
    Pattern("card", re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-])"), luhn_holds),
    Pattern("ssn", re.compile(r"(?<![\w-])\d{3}[- ]\d{2}[- ]\d{4}(?![\w-])"), ssn_holds),
    Pattern("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")),
    Pattern(
        "phone",
        re.compile(r"(?<![\w.])(?:\+|00)?(?:\(\d{1,4}\)|\d{1,4})(?:[ ./-]?(?:\(\d{1,4}\)|\d{2,4})){2,5}(?![\w])"),
        phone_holds,
    ),
    Pattern("ipv4", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)"), ipv4_holds),
)
"""In this order: what an earlier one takes, a later one can't."""
