"""Check `plan`: whether store.toml can be read, and what is doubtful in it."""

from pathlib import Path

from edge_sdk.doctor.finding import FAIL, OK, WARN, Finding
from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import PRIVACY_MODES, StorePlan, read_plan


def check_plan(path: Path) -> tuple[list[Finding], StorePlan | None]:
    """What was found, and the plan, if it is one."""
    try:
        store = read_plan(path)
    except ConfigError as error:
        to_do = "docs/store-plan.md has all keys; `edge-sdk plan check` draws what it understood"
        faults = str(error).splitlines()
        found = [Finding("plan", FAIL, fault) for fault in faults[:-1]]
        return [*found, Finding("plan", FAIL, faults[-1], to_do)], None
    receivers, zones = len(store.plan.receivers), len(store.plan.zones)
    found = [Finding("plan", OK, f"{path}: {receivers} receivers, {zones} zones")]
    if store.privacy is None:
        to_do = f'say privacy = "..." ({", ".join(PRIVACY_MODES)}): docs/privacy.md'
        found.append(Finding("plan", WARN, f"{path} does not say its privacy mode", to_do))
    if store.survey is not None and not store.survey.is_file():
        to_do = "make it with `edge-sdk survey`, or take the line out"
        found.append(Finding("plan", WARN, f"the survey {store.survey} is not there", to_do))
    found += [Finding("plan", WARN, doubt) for doubt in store.warnings]
    return found, store
