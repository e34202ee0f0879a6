"""Writes the labelled set: texts with every kind of personal data and secrets, and with what only looks like them.

Run it to write `labelled.jsonl` again; it is the same each time. Lines {id, half, language, text, spans: [[kind, start,
end]]}. All of it is made up. The half `held` has sentences, shapes and a seed of its own: the recognisers were never
tuned on it. Check digits are made here by other means than the recognisers test them.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

OUT: Final = Path(__file__).parent / "labelled.jsonl"
PER_SENTENCE: Final = 3
Make = Callable[[random.Random], str]


def digits(r: random.Random, count: int, first: str = "123456789") -> str:
    return r.choice(first) + "".join(r.choice(string.digits) for _ in range(count - 1))


def luhn(bare: str) -> str:
    """The number with its check digit: tried until the sum is a multiple of ten, doubling from the right."""
    for last in string.digits:
        total = 0
        for place, char in enumerate(reversed(bare + last)):
            one = int(char) * (2 if place % 2 else 1)
            total += one // 10 + one % 10
        if total % 10 == 0:
            return bare + last
    raise AssertionError(bare)


def fours(bare: str, gap: str) -> str:
    return gap.join(bare[at : at + 4] for at in range(0, len(bare), 4))


def card(r: random.Random) -> str:
    bare = luhn((r.choice(("4", "51", "55", "6011", "2221")) + digits(r, 15))[:15])
    return r.choice((bare, fours(bare, " "), fours(bare, "-")))


def amex(r: random.Random) -> str:
    bare = luhn("37" + digits(r, 12))
    return r.choice((bare, f"{bare[:4]} {bare[4:10]} {bare[10:]}"))


def no_card(r: random.Random) -> str:
    right = card(r)
    return right[:-1] + str((int(right[-1]) + r.randint(1, 9)) % 10)


def iban(r: random.Random) -> str:
    country, length = r.choice((("DE", 18), ("GB", 0), ("FR", 23), ("NL", 0), ("ES", 20), ("PL", 24), ("AT", 16)))
    bank = {"GB": "NWBK" + digits(r, 14), "NL": "ABNA" + digits(r, 10)}.get(country) or digits(r, length)
    number = "".join(str(string.ascii_uppercase.index(c) + 10) if c.isalpha() else c for c in bank + country + "00")
    bare = f"{country}{98 - int(number) % 97:02d}{bank}"
    return r.choice((bare, fours(bare, " ")))


def no_iban(r: random.Random) -> str:
    """Its checksum is one too high, so never right."""
    right = iban(r)
    return f"{right[:2]}{int(right[2:4]) % 97 + 1:02d}{right[4:]}"


def ssn(r: random.Random) -> str:
    return f"{r.choice((r.randint(100, 665), r.randint(667, 899))):03d}-{r.randint(1, 99):02d}-{r.randint(1, 9999):04d}"


def no_ssn(r: random.Random) -> str:
    return f"{r.choice(('000', '666', '912'))}-{r.randint(10, 99)}-{r.randint(1000, 9999)}"


def dni(r: random.Random) -> str:
    number = r.randint(10_000_000, 99_999_999)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def nir(r: random.Random) -> str:
    bare = f"{r.choice('12')}{r.randint(40, 99)}{r.randint(1, 12):02d}{r.randint(10, 95)}{digits(r, 3)}{digits(r, 3)}"
    spaced = f"{bare[0]} {bare[1:3]} {bare[3:5]} {bare[5:7]} {bare[7:10]} {bare[10:13]} {97 - int(bare) % 97:02d}"
    return r.choice((spaced, spaced.replace(" ", "")))


def modulo_11(r: random.Random, count: int, weights: tuple[int, ...], sign: int) -> str:
    """Digits whose weighted sum, the last one counted with `sign`, is a multiple of eleven."""
    while True:
        bare = digits(r, count)
        for last in string.digits:
            total = sum(int(c) * w for c, w in zip(bare, weights, strict=True)) + sign * int(last)
            if total % 11 == 0:
                return bare + last


def nhs(r: random.Random) -> str:
    bare = modulo_11(r, 9, (10, 9, 8, 7, 6, 5, 4, 3, 2), 1)
    return r.choice((bare, f"{bare[:3]} {bare[3:6]} {bare[6:]}"))


def bsn(r: random.Random) -> str:
    return modulo_11(r, 8, (9, 8, 7, 6, 5, 4, 3, 2), -1)


def cpf(r: random.Random) -> str:
    bare = digits(r, 9)
    for weights in (range(10, 1, -1), range(11, 1, -1)):
        rest = sum(int(c) * w for c, w in zip(bare, weights, strict=True)) % 11
        bare += str(0 if rest < 2 else 11 - rest)
    return f"{bare[:3]}.{bare[3:6]}.{bare[6:9]}-{bare[9:]}"


def personnummer(r: random.Random) -> str:
    bare = luhn(f"{r.randint(40, 99)}{r.randint(1, 12):02d}{r.randint(1, 28):02d}{r.randint(100, 999)}")
    return f"{bare[:6]}-{bare[6:]}"


def email(r: random.Random) -> str:
    name = r.choice(("ann.lee", "bo", "c_okafor", "jörg.weiß", "marie-claire", "x.y+news", "info", "o'neil"))
    return f"{name}@{r.choice(('example.org', 'mail.example.co.uk', 'beispiel.de', 'exemple.fr', '163.com'))}"


def phone_abroad(r: random.Random) -> str:
    code = r.choice(("+49 30", "+44 20", "+33 1", "+34 91", "+1 415", "+48 22", "+31 (0)20", "+91 22"))
    return f"{code} {digits(r, 3)} {digits(r, 4)}"


def phone_us(r: random.Random) -> str:
    area, office, line = digits(r, 3, "23456789"), digits(r, 3, "23456789"), digits(r, 4)
    return r.choice((f"({area}) {office}-{line}", f"{area}-{office}-{line}", f"{area}.{office}.{line}"))


def phone_home(r: random.Random) -> str:
    return r.choice(
        (f"030 {digits(r, 7)}", f"0171/{digits(r, 7)}", f"020 7{digits(r, 3)} {digits(r, 4)}",
         f"06-{digits(r, 8)}", f"01 {digits(r, 2)} {digits(r, 2)} {digits(r, 2)} {digits(r, 2)}")
    )  # fmt: skip


def phone_bare(r: random.Random) -> str:
    return digits(r, 9, "67")


def ipv4(r: random.Random) -> str:
    return f"{r.randint(10, 223)}.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}"


def ipv6(r: random.Random) -> str:
    return f"2001:db8:{r.randrange(4096):x}::{r.randrange(1, 65536):x}"


def ipv6_full(r: random.Random) -> str:
    return ":".join(f"{r.randrange(4096, 65536):x}" for _ in range(8))


def mac(r: random.Random) -> str:
    return ":".join(f"{r.randrange(1, 255):02x}" for _ in range(6))


def letters(r: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(r.choice(alphabet) for _ in range(count - 2)) + "a7"


def aws(r: random.Random) -> str:
    return "AKIA" + "".join(r.choice(string.ascii_uppercase + "234567") for _ in range(16))


def jwt(r: random.Random) -> str:
    return f"eyJ{letters(r, 20)}.eyJ{letters(r, 40)}.{letters(r, 43)}"


def key_block(r: random.Random) -> str:
    body = "\n".join(letters(r, 64) for _ in range(3))
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"


def password(r: random.Random) -> str:
    return f"{r.choice(('Winter', 'Kestrel', 'River', 'Passat'))}{r.choice('!#$%')}{r.randint(100, 9999)}"


def birth(r: random.Random) -> str:
    day, month, year = r.randint(1, 28), r.randint(1, 12), r.randint(1930, 2010)
    return r.choice((f"{day:02d}.{month:02d}.{year}", f"{year}-{month:02d}-{day:02d}", f"{day}/{month}/{year}"))


def birth_words(r: random.Random) -> str:
    return f"{r.randint(1, 28)} {r.choice(('March', 'June', 'October'))} {r.randint(1930, 2010)}"


def passport(r: random.Random) -> str:
    return r.choice(("C" + digits(r, 8), "L" + digits(r, 2) + "X" + digits(r, 4) + "T", digits(r, 9)))


# kind, what makes it, language, sentences; `{}` is the data. Empty kind: it is none, whatever it looks like.
Row = tuple[str, Make, str, tuple[str, ...]]
TUNE: Final[tuple[Row, ...]] = (
    ("email", email, "en", ("Write to {} before noon.", "From: {}\nSubject: tide", "(cc {})")),
    ("email", email, "de", ("Bitte an {} schreiben.", "Kontakt: {};")),
    ("phone", phone_abroad, "en", ("Call {} in the evening.", "Office: {}.")),
    ("phone", phone_us, "en", ("Reach me at {} any day.", "Desk {} or the front door")),
    ("phone", phone_home, "de", ("Tel. {} bis 17 Uhr", "Sie erreichen uns unter {}.")),
    ("phone", phone_home, "fr", ("Téléphone : {}", "Vous pouvez appeler le {}.")),
    ("phone", phone_bare, "es", ("Móvil {}", "Teléfono: {} (tardes)")),
    ("card", card, "en", ("Paid with {} on Monday.", "Card number: {}, expires 04/29")),
    ("card", amex, "en", ("Amex {} was declined.",)),
    ("card", card, "fr", ("Carte {} refusée.",)),
    ("iban", iban, "de", ("Bitte auf {} überweisen.", "IBAN: {} BIC COBADEFF")),
    ("iban", iban, "en", ("Wire it to {}, please.",)),
    ("ssn", ssn, "en", ("SSN {} on file.", "His number is {}.")),
    ("national_id", dni, "es", ("DNI {}.", "con documento {} y domicilio")),
    ("national_id", nir, "fr", ("Numéro de sécurité sociale : {}", "NIR {}")),
    ("national_id", nhs, "en", ("NHS number {}.",)),
    ("national_id", cpf, "pt", ("CPF {}", "inscrito sob o {}")),
    ("ipv4", ipv4, "en", ("Host {} is down.", "ssh root@{}", "from {}:443 to")),
    ("ipv6", ipv6, "en", ("The address {} answers.", "ping {}")),
    ("mac", mac, "en", ("Device {} joined.",)),
    ("secret", aws, "en", ("key id {} leaked", "AWS_ACCESS_KEY_ID={}")),
    ("secret", jwt, "en", ("cookie: session={}; path=/",)),
    ("secret", key_block, "en", ("Keep this:\n{}\nDo not share.",)),
    ("secret", password, "en", ("password: {}", 'db_password = "{}"')),
    ("secret", password, "de", ("Passwort: {}",)),
    ("secret", lambda r: letters(r, 32), "en", ("api_key={}", 'secret_key: "{}"')),
    ("secret", lambda r: letters(r, 10), "en", ("postgres://app:{}@db.example.org/x",)),
    ("birth_date", birth, "en", ("Date of birth: {}", "DOB {}")),
    ("birth_date", birth_words, "en", ("She was born on {} in Hull.",)),
    ("birth_date", birth, "de", ("geboren am {} in Kiel", "Geburtsdatum: {}")),
    ("passport", passport, "en", ("Passport no. {}", "passport number: {}")),
    ("passport", passport, "de", ("Reisepass Nr. {}",)),
    ("", no_card, "en", ("Order {} was shipped.", "Auftrag {} ist bezahlt.")),
    ("", no_iban, "de", ("Referenz {} beachten.",)),
    ("", no_ssn, "en", ("Part {} is out of stock.",)),
    ("", lambda r: f"{r.randint(1, 9)}.{r.randint(0, 20)}.{r.randint(0, 20)}.{r.randint(0, 99)}", "en",
     ("Upgrade to version {} first.", "Driver v{} crashed.")),
    ("", lambda r: letters(r, 40, "0123456789abcdef"), "en", ("Commit {} broke it.",)),
    ("", lambda r: "-".join(letters(r, n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)), "en",
     ("Request {} timed out.",)),
    ("", lambda r: f"978-3-16-{digits(r, 6)}-{r.randint(0, 9)}", "en", ("ISBN {} is out of print.",)),
    ("", lambda r: f"{digits(r, 3)}-{digits(r, 3)}-{digits(r, 4)}", "en", ("Part number {} fits both.", "SKU {}")),
    ("", birth, "en", ("The meeting of {} was short.", "Valid until {}.")),
    ("", lambda r: r.choice(("changeme", "<token>", "${DB_PASSWORD}", "xxxxxxxxxxxx")), "en", ("password: {}",)),
)  # fmt: skip
HELD: Final[tuple[Row, ...]] = (
    ("email", email, "en", ("<{}> wrote:", "ask {} or me", "[mail](mailto:{})")),
    ("email", email, "it", ("Scrivere a {}, grazie.", "E-mail: {}")),
    ("phone", phone_abroad, "fr", ("Joignable au {} le matin.", "Fax {}")),
    ("phone", phone_us, "en", ("Her cell is {}, text first.", "Toll free: {}")),
    ("phone", phone_home, "nl", ("Bel {} voor vragen.", "Telefoon {}")),
    ("phone", phone_home, "en", ("The surgery's line is {}.",)),
    ("phone", phone_bare, "pl", ("Telefon: {}", "Proszę dzwonić: {}")),
    ("card", card, "es", ("La tarjeta {} ha caducado.", "Pago con {}")),
    ("card", amex, "de", ("Die Karte {} wurde belastet.",)),
    ("card", card, "en", ("| {} | Visa |", "charge {}; refund later")),
    ("iban", iban, "fr", ("RIB / IBAN {}", "virement vers {}.")),
    ("iban", iban, "pl", ("Numer konta: {}",)),
    ("ssn", ssn, "en", ("Social security number: {}", "taxpayer {} filed late")),
    ("national_id", dni, "es", ("NIF: {}", "titular {}, mayor de edad")),
    ("national_id", bsn, "nl", ("BSN {}", "burgerservicenummer: {}")),
    ("national_id", personnummer, "sv", ("Personnummer {}", "född med nummer {}")),
    ("national_id", nhs, "en", ("Patient {} was seen.", "NHS no {}")),
    ("ipv4", ipv4, "de", ("Der Server {} antwortet nicht.", "deny from {}")),
    ("ipv6", ipv6_full, "en", ("route {} dev eth0", "Client {} timed out.")),
    ("mac", mac, "fr", ("Adresse MAC : {}", "arp {}")),
    ("secret", aws, "de", ("Der Schlüssel {} ist gesperrt.",)),
    ("secret", lambda r: "ghp_" + letters(r, 36), "en", ("git clone https://{}@github.com/a/b", "export T={}")),
    ("secret", key_block, "fr", ("Clé :\n{}",)),
    ("secret", password, "es", ("contraseña: {}", "la contraseña es {}")),
    ("secret", password, "en", ("login bob / {}", "PWD={}")),
    ("secret", lambda r: letters(r, 40), "en", ("Authorization: Bearer {}", "client_secret={}")),
    ("secret", lambda r: letters(r, 12), "en", ("amqp://svc:{}@queue:5672/", "Server=db;User Id=sa;Password={};")),
    ("birth_date", birth, "fr", ("née le {} à Lyon", "Date de naissance : {}")),
    ("birth_date", birth, "pl", ("data urodzenia: {}",)),
    ("birth_date", birth_words, "en", ("DOB: {}", "birthday is {}")),
    ("birth_date", birth, "en", ("Ann Lee, {}, of Leeds",)),
    ("passport", passport, "es", ("pasaporte {}", "Pasaporte n.º {}")),
    ("passport", passport, "en", ("travelled on passport {}", "Document (passport): {}")),
    ("", no_card, "fr", ("Commande {} expédiée.", "Réf. {}")),
    ("", no_iban, "en", ("Container {} left Hamburg.",)),
    ("", no_ssn, "en", ("Bin {} holds the bolts.",)),
    ("", lambda r: f"{r.randint(1, 9)}.{r.randint(0, 20)}.{r.randint(0, 20)}.{r.randint(0, 99)}", "de",
     ("Firmware {} einspielen.", "Kapitel {} entfällt.")),
    ("", lambda r: letters(r, 64, "0123456789abcdef"), "en", ("sha256:{}", "digest {} matches")),
    ("", lambda r: f"{r.randint(10, 23)}:{r.randint(10, 59)}:{r.randint(10, 59)}", "en", ("At {} it rained.",)),
    ("", lambda r: f"{digits(r, 4)}-{digits(r, 4)}", "en", ("ISSN {} and others",)),
    ("", lambda r: f"{digits(r, 3)} {digits(r, 3)} {digits(r, 4)}", "de", ("Artikel {} ist lieferbar.",)),
    ("", lambda r: f"{r.randint(-90, 90)}.{digits(r, 6)}, {digits(r, 2)}.{digits(r, 6)}", "en",
     ("Moored at {} overnight.",)),
    ("", birth, "de", ("Rechnung vom {} liegt bei.", "Stand: {}")),
    ("", lambda r: r.choice(("{{ vault_token }}", "None", "process.env.TOKEN", "********")), "en", ("token = {}",)),
)  # fmt: skip


def lines(half: str, rows: tuple[Row, ...], seed: int) -> Iterator[dict[str, Any]]:
    r = random.Random(seed)
    number = 0
    for kind, make, language, sentences in rows:
        for sentence in sentences * PER_SENTENCE:
            value, before = make(r), sentence.index("{}")
            span = [[kind, before, before + len(value)]] if kind else []
            text = sentence.replace("{}", value)
            yield {"id": f"{half}-{number:03d}", "half": half, "language": language, "text": text, "spans": span}
            number += 1


def main() -> None:
    rows = [*lines("tune", TUNE, 20_260), *lines("held", HELD, 77_003)]
    OUT.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} texts, {sum(len(row['spans']) for row in rows)} spans: {OUT.name}")


if __name__ == "__main__":
    main()
