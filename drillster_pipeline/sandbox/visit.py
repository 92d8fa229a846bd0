"""One request while it is being answered: what is to become of it, and how it is written down."""

from __future__ import annotations

from .chaos import Chaos
from .faults import Failure, How
from .recorder import Record
from .wire import HTML_TYPE, PROXY_PAGE, Reply


class Visit:
    """What is known of a request while it is being answered."""

    __slots__ = ("chaos", "record", "rule", "status")

    def __init__(self, chaos: Chaos, record: Record, rule: Failure | None, target: str) -> None:
        self.chaos = chaos
        self.record = record
        self.rule = rule
        self.status = 0
        if rule is not None:
            self.status = chaos.status(rule, f"{target}?{record.query}")

    @property
    def fails(self) -> bool:
        """Whether this call ends in an error answer of the API itself."""
        return self.rule is not None and self.rule.how is How.STATUS

    @property
    def rule_error(self) -> str:
        """The error id that the rule asks for."""
        return self.rule.error if self.rule is not None else ""

    def replaced(self, reply: Reply) -> Reply:
        """The answer that the rule puts in the place of the real one, where it does."""
        assert self.rule is not None
        if self.rule.how is How.HTML:
            reply = Reply(self.status, PROXY_PAGE, [HTML_TYPE])
        elif self.rule.how is How.EMPTY:
            reply = Reply(self.status, b"")
        elif self.rule.how is How.REDIRECT:
            reply = Reply(302, b"", [(b"location", self.rule.location.encode())])
        retry_after = self.chaos.retry_after(self.rule)
        if retry_after is not None:
            reply.headers = [*reply.headers, (b"retry-after", retry_after.encode("latin-1"))]
        return reply
