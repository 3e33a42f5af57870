"""Personal data and secrets, taken out of what a model's service is sent and put back into what it says.

Addresses, telephone numbers, card and account numbers, keys and passwords become words like `[EMAIL_1]`: the same value
is the same word all through a conversation, so a model can still talk about it. Names stay: an answer needs them.
Telephone numbers are found by libphonenumber, secrets by the rules of detect-secrets, cards and accounts by their
checksums, so that versions, times and identifiers in logs are left as they are.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import phonenumbers
from detect_secrets.plugins.base import RegexBasedDetector
from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import iban, luhn

Span = tuple[int, int]

_EMAIL = re.compile(r"(?<![\w.+/%-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-]|\.\w)")
_CARD = re.compile(r"(?<![\w.+-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_CARD_LENGTHS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2[2-7]"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"3(?:0[0-5]|[68])"), (14, 16)),
    (re.compile(r"6(?:011|5|4[4-9]|2)|35"), (16, 19)),
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_WRITTEN_NUMBER = re.compile(r"(?<![\w./:+-])(?:\+?1[ -])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}-)\d{3}-\d{4}(?![\w-]|\.\d)")
_INTERNATIONAL = re.compile(r"(?<![\w+])\+\d[\d ().-]{6,20}\d(?!\w)")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_KEYS = re.compile(
    r"\b(?:sk-(?:ant-|proj-|live-)?[\w-]{16,}|AIza[\w-]{30,}|gh[pousr]_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|[sr]k_(?:live|test)_\w{10,}|hf_\w{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{5,})"
)
_BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<value>[\w.~+/-]{12,}=*)")
_ASSIGNED = re.compile(
    r"(?i)(?:password|passwd|passphrase|secret|api[ _-]?key|access[ _-]?key|auth[ _-]?token|access[ _-]?token"
    r"|private[ _-]?key|client[ _-]?secret)[\"']?\s*(?:[:=]|\bis\b)+\s*[\"']?(?P<value>[^\s\"'`<>,;(){}\[\]]{6,})"
)
_NO_VALUE = re.compile(
    r"(?i)(?:[*x.•]+|your[\w-]*|my[\w-]*|\$.*|https?:.*|%.*|process\.env.*|os\.environ.*|[a-z_]+\.[a-z_.]+|[a-z]+)\Z"
)
_PLACEHOLDER = re.compile(r"\[(?:EMAIL|PHONE|CARD|ACCOUNT|SECRET)_\d{1,4}\]")
_HALF = re.compile(r"\[[A-Z]{0,7}(?:_\d{0,4})?\Z")


class Redaction:
    """The placeholders of one conversation. Feed it the conversation from its beginning, and they stay the same."""

    def __init__(self, regions: Sequence[str] = ("US",)) -> None:
        self._regions = tuple(regions)
        self._words: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """`text` with placeholders."""
        shown, end = [], 0
        for kind, (start, stop) in _found(text, self._regions):
            shown += [text[end:start], self._word(kind, text[start:stop])]
            end = stop
        return "".join([*shown, text[end:]])

    def restore(self, text: str) -> str:
        """`text` with what stands behind the placeholders. Unknown ones stay as they are."""
        return _PLACEHOLDER.sub(lambda match: self._values.get(match.group(), match.group()), text)

    def hide_in(self, value: Any) -> Any:
        """The same for all texts inside a JSON value."""
        return _each_text(value, self.hide)

    def restore_in(self, value: Any) -> Any:
        """The same for all texts inside a JSON value."""
        return _each_text(value, self.restore)

    def _word(self, kind: str, value: str) -> str:
        same = (kind, re.sub(r"[\s().-]", "", value) if kind in ("PHONE", "CARD", "ACCOUNT") else value)
        if same not in self._words:
            number = sum(one == kind for one, _ in self._words) + 1
            self._words[same] = f"[{kind}_{number}]"
            self._values[self._words[same]] = value
        return self._words[same]


class NoRedaction(Redaction):
    """Hides nothing: for installations that have switched it off."""

    def hide(self, text: str) -> str:
        return text

    def restore(self, text: str) -> str:
        return text


class Restoring:
    """Restores a text that comes in pieces, also where a placeholder is split over several."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction, self._held = redaction, ""

    def feed(self, piece: str) -> str:
        """What is certain by now."""
        text = self._held + piece
        half = _HALF.search(text)
        cut = half.start() if half else len(text)
        self._held = text[cut:]
        return self._redaction.restore(text[:cut])

    def end(self) -> str:
        """What is left."""
        held, self._held = self._held, ""
        return self._redaction.restore(held)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _each_text(one, change) for key, one in value.items()}
        case list() | tuple():
            return [_each_text(one, change) for one in value]
        case _:
            return value


@lru_cache(maxsize=1024)
def _found(text: str, regions: tuple[str, ...]) -> Sequence[tuple[str, Span]]:
    """What to hide, in order. Where two overlap, the one that is looked for first counts.

    Remembered: a conversation is sent again with each question, and so are the passages that people ask about most.
    """
    taken: list[tuple[str, Span]] = []
    for kind, spans in (
        ("SECRET", _secrets(text)),
        ("EMAIL", _emails(text)),
        ("ACCOUNT", _accounts(text)),
        ("CARD", _cards(text)),
        ("PHONE", _phones(text, regions)),
    ):
        for start, stop in spans:
            if all(stop <= other[0] or start >= other[1] for _, other in taken):
                taken.append((kind, (start, stop)))
    return sorted(taken, key=lambda one: one[1])


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text) if "@" in text else ():
        if not match.group().startswith("git@"):  # where a repository is, and nobody's address
            yield match.span()


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        known = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _CARD_LENGTHS)
        if known and luhn.is_valid(digits):
            yield match.span()


def _accounts(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        if iban.is_valid(match.group(), check_country=False):
            yield match.span()


def _phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    if sum(character.isdigit() for character in text) < 7:
        return
    for match in _WRITTEN_NUMBER.finditer(text):
        yield match.span()
    for match in _INTERNATIONAL.finditer(text):
        try:
            number = phonenumbers.parse(match.group(), None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            yield match.span()
    for region in regions:
        for found in PhoneNumberMatcher(text, region, Leniency.STRICT_GROUPING):
            if _looks_dialled(text, found.start, found.end):
                yield found.start, found.end


def _looks_dialled(text: str, start: int, end: int) -> bool:
    """A number that people write to be dialled has gaps, and is no part of a version, an address or an identifier."""
    around = text[max(0, start - 1) : start] + text[end : end + 1]
    return bool(re.search(r"\d[ ()/-]+\d", text[start:end])) and not re.search(r"[\w.:=#/_-]", around)


def _secrets(text: str) -> Iterator[Span]:
    for pattern in (_PEM, _KEYS):
        for match in pattern.finditer(text):
            yield match.span()
    for pattern in (_BEARER, _ASSIGNED):
        for match in pattern.finditer(text):
            if not _NO_VALUE.match(match["value"].rstrip(".!?")):
                start, stop = match.span("value")
                yield start, stop - (len(match["value"]) - len(match["value"].rstrip(".!?")))
    for detector in _detectors():
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                value = next((group for group in match.groups() if group), match.group())
                start = text.index(value, match.start())
                yield start, start + len(value)


@cache
def _detectors() -> Sequence[RegexBasedDetector]:
    """Rules for keys of known services. Those that go by randomness alone would take identifiers for secrets."""
    from detect_secrets.plugins import (
        artifactory,
        aws,
        azure_storage_key,
        basic_auth,
        discord,
        github_token,
        gitlab_token,
        jwt,
        mailchimp,
        npm,
        openai,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    return [
        artifactory.ArtifactoryDetector(),
        aws.AWSKeyDetector(),
        azure_storage_key.AzureStorageKeyDetector(),
        basic_auth.BasicAuthDetector(),
        discord.DiscordBotTokenDetector(),
        github_token.GitHubTokenDetector(),
        gitlab_token.GitLabTokenDetector(),
        jwt.JwtTokenDetector(),
        mailchimp.MailchimpDetector(),
        npm.NpmDetector(),
        openai.OpenAIDetector(),
        pypi_token.PypiTokenDetector(),
        sendgrid.SendGridDetector(),
        slack.SlackDetector(),
        square_oauth.SquareOAuthDetector(),
        stripe.StripeDetector(),
        telegram_token.TelegramBotTokenDetector(),
        twilio.TwilioKeyDetector(),
    ]
