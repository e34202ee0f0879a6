"""Check digits of numbers that people are known by: cards, accounts, national ids."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "aadhaar_holds",
    "bsn_holds",
    "card_holds",
    "codice_fiscale_holds",
    "cpf_holds",
    "dni_holds",
    "iban_end",
    "nhs_holds",
    "nir_holds",
    "personnummer_holds",
    "pesel_holds",
    "sin_holds",
    "ssn_holds",
    "steuer_id_holds",
]


def _digits(text: str) -> list[int]:
    return [ord(char) - 48 for char in text if "0" <= char <= "9"]


def _luhn(digits: list[int]) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


# First digits and lengths of the payment networks: one number in ten has a right check digit by chance.
_NETWORKS: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2}|2[0-9]{2})[0-9]{12,15}|(?:50|5[6-9]|6[0-9])[0-9]{12,17}"
)


def card_holds(text: str) -> bool:
    """Whether a number is of a payment network and its check digit is right.

    >>> card_holds("4111 1111 1111 1111"), card_holds("4111 1111 1111 1112")
    (True, False)
    """
    digits = _digits(text)
    return _NETWORKS.fullmatch("".join(map(str, digits))) is not None and len(set(digits)) > 1 and _luhn(digits)


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


def iban_end(text: str) -> int:
    """Where the IBAN at the start of a text ends, by its country's length; 0 where its checksum is wrong (mod 97-10).

    >>> iban_end("DE89 3704 0044 0532 0130 00 BIC X"), iban_end("DE89 3704 0044 0532 0130 01")
    (27, 0)
    """
    wanted = IBAN_LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, char in enumerate(text) if char.isalnum()][:wanted]
    if not wanted or len(places) < wanted or text[places[-1] + 1 : places[-1] + 2].isalnum():
        return 0
    bare = "".join(text[place] for place in places)
    return places[-1] + 1 if int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1 else 0


def ssn_holds(text: str) -> bool:
    """Whether a US social security number can have been issued (no 000, 666 or 9xx, no zero group).

    >>> ssn_holds("123-45-6789"), ssn_holds("666-45-6789")
    (True, False)
    """
    bare = "".join(map(str, _digits(text)))
    area, group, serial = bare[:3], bare[3:5], bare[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _month_and_day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def dni_holds(text: str) -> bool:
    """Spain's DNI and NIE: the letter is the number modulo 23 (Real Decreto 1553/2005).

    >>> dni_holds("12345678Z"), dni_holds("X1234567L"), dni_holds("12345678A")
    (True, True, False)
    """
    bare = text.upper().replace("-", "")
    number = bare[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == bare[-1]


_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (*(1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2, *(2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)),
        strict=True,
    )
)


def codice_fiscale_holds(text: str) -> bool:
    """Italy's codice fiscale: its last letter (Decreto 23 December 1976).

    >>> codice_fiscale_holds("RSSMRA85T10A562S"), codice_fiscale_holds("RSSMRA85T10A562T")
    (True, False)
    """
    bare = text.upper()
    odd = sum(_ODD[char] for char in bare[:15:2])
    even = sum(int(char) if char.isdigit() else ord(char) - 65 for char in bare[1:15:2])
    return chr(65 + (odd + even) % 26) == bare[15]


def nir_holds(text: str) -> bool:
    """France's NIR: 97 minus the number modulo 97; Corsica's 2A and 2B count as 19 and 18.

    >>> nir_holds("2 55 08 14 168 025 38"), nir_holds("2 55 08 14 168 025 39")
    (True, False)
    """
    bare = text.replace(" ", "").upper()
    number = bare[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(bare[13:])


def cpf_holds(text: str) -> bool:
    """Brazil's CPF: two check digits, modulo 11.

    >>> cpf_holds("529.982.247-25"), cpf_holds("529.982.247-24"), cpf_holds("111.111.111-11")
    (True, False, False)
    """
    digits = _digits(text)

    def check(count: int) -> int:
        return sum(digit * (count + 1 - place) for place, digit in enumerate(digits[:count])) * 10 % 11 % 10

    return len(digits) == 11 and len(set(digits)) > 1 and check(9) == digits[9] and check(10) == digits[10]


def nhs_holds(text: str) -> bool:
    """The NHS number of England: modulo 11, weights 10 to 2 (NHS data dictionary).

    >>> nhs_holds("943 476 5919"), nhs_holds("943 476 5918")
    (True, False)
    """
    digits = _digits(text)
    rest = 11 - sum(digit * (10 - place) for place, digit in enumerate(digits[:9])) % 11
    return len(digits) == 10 and rest % 11 == digits[9]


def steuer_id_holds(text: str) -> bool:
    """Germany's tax id: ISO 7064 mod 11, 10; of ten digits one comes twice or three times.

    >>> steuer_id_holds("86 095 742 719"), steuer_id_holds("86 095 742 718")
    (True, False)
    """
    digits = _digits(text)
    if len(digits) != 11 or digits[0] == 0 or not 8 <= len(set(digits[:10])) <= 9:
        return False
    product = 10
    for digit in digits[:10]:
        product = (((digit + product) % 10 or 10) * 2) % 11
    return (11 - product) % 10 == digits[10]


def bsn_holds(text: str) -> bool:
    """The Dutch BSN: the test of eleven.

    >>> bsn_holds("111222333"), bsn_holds("111222334")
    (True, False)
    """
    digits = _digits(text)
    weighted = sum(digit * (9 - place) for place, digit in enumerate(digits[:8]))
    return len(digits) == 9 and sum(digits) > 0 and (weighted - digits[8]) % 11 == 0


def pesel_holds(text: str) -> bool:
    """Poland's PESEL: a date with the century in its month, weights 1 3 7 9.

    >>> pesel_holds("44051401359"), pesel_holds("44051401358")
    (True, False)
    """
    digits = _digits(text)
    if len(digits) != 11 or not _month_and_day((digits[2] * 10 + digits[3]) % 20, digits[4] * 10 + digits[5]):
        return False
    return (
        sum(digit * weight for digit, weight in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True)) % 10 == 0
    )


def personnummer_holds(text: str) -> bool:
    """Sweden's personnummer: a date (day plus 60 for coordination numbers), Luhn over the ten digits.

    >>> personnummer_holds("811228-9874"), personnummer_holds("811228-9873")
    (True, False)
    """
    digits = _digits(text)[-10:]
    return _month_and_day(digits[2] * 10 + digits[3], (digits[4] * 10 + digits[5]) % 60) and _luhn(digits)


_TURN: Final = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678")
_MIRROR: Final = ("5987604321", "6598710432", "7659821043", "8765932104", "9876543210")
_SHIFT: Final = ("0123456789", "1576283094", "5803796142", "8916043527")
_SHIFT_ON: Final = ("9453126870", "4286573901", "2793806415", "7046913258")


def aadhaar_holds(text: str) -> bool:
    """India's Aadhaar: Verhoeff's check digit (dihedral group of ten), first digit 2 to 9.

    >>> aadhaar_holds("2341 2341 2346"), aadhaar_holds("2341 2341 2345")
    (True, False)
    """
    digits = _digits(text)
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int((*_TURN, *_MIRROR)[check][int((*_SHIFT, *_SHIFT_ON)[place % 8][digit])])
    return len(digits) == 12 and digits[0] > 1 and check == 0


def sin_holds(text: str) -> bool:
    """Canada's social insurance number: Luhn, not beginning with 0 or 8.

    >>> sin_holds("130 692 544"), sin_holds("130 692 545")
    (True, False)
    """
    digits = _digits(text)
    return len(digits) == 9 and digits[0] not in (0, 8) and _luhn(digits)
