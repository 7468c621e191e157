"""What a check found: on what, how it stands, what was seen, and what to do about it."""

from dataclasses import dataclass

OK, WARN, FAIL, SKIPPED = "ok", "warn", "fail", "skipped"
RESULTS = (OK, WARN, FAIL, SKIPPED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. No key, password, e-mail or device's address is ever in it.

    check    the name of what was checked, as "broker"
    result   one of RESULTS; FAIL: the product does not work like this
    found    what was seen
    to_do    what to do, or nothing
    """

    check: str
    result: str
    found: str
    to_do: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "check": self.check,
            "result": self.result,
            "found": self.found,
            "to_do": self.to_do,
        }
