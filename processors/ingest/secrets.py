"""What keys, tokens and passwords look like: forms of known issuers, and values named as secret that look drawn."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

__all__ = ["ASSIGNED", "AUTHORIZATION", "IN_ADDRESS", "ISSUED", "ISSUED_MARKS", "PRIVATE_KEY", "looks_drawn"]

# Words and placeholders have less than this many bits per character; keys that were drawn at random have more.
KEY_BITS_PER_CHAR: Final = 3.0
_PASSWORD_CHARS: Final = 8
_KEY_CHARS: Final = 12
_PLACEHOLDER: Final = re.compile(
    r"^(?:\$|\{|%|<|\[)|x{4,}|\*{3,}|\.{3}|your[_-]?|example|change[_-]?me|placeholder|dummy|redacted|env[.(]",
    re.IGNORECASE,
)


def looks_drawn(text: str) -> bool:
    """Whether a value was drawn at random, or chosen as passwords are: no word, no placeholder.

    >>> looks_drawn("q7Zt4LmX9vB2nR8k"), looks_drawn("Tr0ub4dor&3"), looks_drawn("changeme"), looks_drawn("patience")
    (True, True, False, False)
    """
    if len(text) < _PASSWORD_CHARS or _PLACEHOLDER.search(text):
        return False
    kinds = [any(map(test, text)) for test in (str.isdigit, str.islower, str.isupper, lambda char: not char.isalnum())]
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
    drawn = len(text) >= _KEY_CHARS and bits >= KEY_BITS_PER_CHAR and kinds[0] and (kinds[1] or kinds[2])
    return drawn or (sum(kinds) >= 3 and kinds[0])


# An unclosed key ends with the first character that no key has.
PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\s{0,4}(?:Proc-Type|DEK-Info|Version|Comment)[^\n]{0,200}+){0,4}[A-Za-z0-9+/=\s\\]{0,20000}+"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)

ISSUED: Final = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
    (?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}                                # AWS
  | gh[pousr]_[A-Za-z0-9]{36,255}+ | github_pat_[A-Za-z0-9_]{22,255}+  # GitHub
  | gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,255}+                         # GitLab
  | xox[abeprs]-[A-Za-z0-9-]{10,255}+ | xapp-[A-Za-z0-9-]{20,255}+     # Slack
  | sk-[A-Za-z0-9_-]{20,255}+                                          # model providers
  | (?:[sr]k|whsec)_(?:(?:live|test)_)?[A-Za-z0-9]{16,255}+            # Stripe
  | AIza[0-9A-Za-z_-]{35} | ya29\.[0-9A-Za-z_-]{20,255}+ | GOCSPX-[0-9A-Za-z_-]{20,64}+  # Google
  | npm_[A-Za-z0-9]{36} | hf_[A-Za-z0-9]{30,64}+ | pypi-[A-Za-z0-9_-]{50,255}+           # npm, Hugging Face, PyPI
  | SG\.[A-Za-z0-9_-]{16,32}+\.[A-Za-z0-9_-]{16,64}+ | SK[0-9a-f]{32}  # SendGrid, Twilio
  | hvs\.[A-Za-z0-9_-]{20,255}+ | dop_v1_[0-9a-f]{64} | dapi[0-9a-f]{32} | shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}
  | eyJ[A-Za-z0-9_-]{8,4096}+\.eyJ[A-Za-z0-9_-]{8,8192}+\.[A-Za-z0-9_-]{8,2048}+         # JWT
  )(?![A-Za-z0-9])""",
    re.VERBOSE,
)
ISSUED_MARKS: Final = (
    *("AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-"),
    *("glrt-", "glptt-", "xox", "xapp-", "sk-", "sk_", "rk_", "whsec_", "AIza", "ya29.", "GOCSPX-", "npm_", "hf_"),
    *("pypi-", "SG.", "SK", "hvs.", "dop_v1_", "dapi", "shpat_", "shpss_", "shpca_", "shppa_", "eyJ"),
)
"""One of these begins whatever `ISSUED` finds, which has 15 characters or more and no space."""

_NAMES: Final = (
    r"api[ _-]?key|(?:client|app|shared)[ _-]?secret|secret(?:[ _-]?access)?(?:[ _-]?key)?|access[ _-]?(?:key|token)"
    r"|account[ _-]?key|shared[ _-]?access[ _-]?key|auth[ _-]?token|private[ _-]?token|token|credentials?"
    r"|pass(?:word|wd|phrase|wort)|pwd|kennwort|contraseña|mot de passe|wachtwoord|senha|hasło"
)
ASSIGNED: Final = re.compile(
    rf"(?:{_NAMES})[\"'`]?(?:\s{{0,3}}(?:[:=]|=>|:=)\s{{0,3}}| (?:is|ist|est|es|è|é|to) )[\"'`]?"
    r"(?P<it>[A-Za-z0-9+/_.~!@#$%^&*?<>{}-]{8,256}+={0,2})",
    re.IGNORECASE,
)
AUTHORIZATION: Final = re.compile(r"\b(?:bearer|basic)\s{1,2}(?P<it>[A-Za-z0-9+/_.~-]{16,512}+={0,2})", re.IGNORECASE)
IN_ADDRESS: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@]{0,64}:(?P<it>[^\s:/@]{3,128})@"
)
