"""Which variable is which setting, and what was probably meant by one that is none."""

import difflib
import re
from collections.abc import Collection, Mapping

from authserver.environment import NAME, PREFIX

PROVIDERS = PREFIX + "PROVIDERS__"
PROVIDER = re.compile(rf"{PROVIDERS}(\w*?)__(\w*)", re.A)
# A provider's variable whose underscores are not in twos.
ALMOST = re.compile(r"PROVIDERS?_+[A-Z0-9]\w*")
# Where such a name most likely has its parts. The first that fits counts.
LIKELY = (
    re.compile(r"PROVIDERS?_+(\w+?)__(\w+)"),
    re.compile(r"PROVIDERS?_+(\w+?)_+(CLIENT_ID|CLIENT_SECRET|TYPE|ISSUER|LABEL|SCOPES)"),
    re.compile(r"PROVIDERS?_+([A-Z0-9]+)_*(\w*)"),
    re.compile(r"(\w+?)_+(CLIENT_ID|CLIENT_SECRET)"),
)


def providers_of(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The options of each provider of which anything is set."""
    providers: dict[str, dict[str, str]] = {}
    for variable, value in variables.items():
        if parts := PROVIDER.fullmatch(variable):
            providers.setdefault(parts[1].lower(), {})[parts[2]] = value
    return providers


def unknown(variables: Collection[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Sentences on variables that are no settings: those that stop the start, and those that are a warning.

    A provider's option under another spelling is somebody's intention, so it stops the start. Others do not:
    Kubernetes makes variables such as `AUTHSERVER_PORT` for a service called authserver.
    """
    wrong, ignored = [], []
    for variable in variables:
        if PROVIDER.fullmatch(variable) or variable.removeprefix(PREFIX).lower() in known:
            continue
        shown = _shown(variable)
        name = shown.upper().removeprefix(PREFIX)
        meant = _meant(name, known)
        if ALMOST.fullmatch(name):
            wrong.append(f"{shown}: expected two underscores before and after the provider's name, such as {meant}")
        else:
            question = f"; did you mean {meant}?" if meant else ""
            ignored.append(f"{shown} is not a setting of authserver and is ignored{question}")
    return wrong, ignored


def _shown(variable: str) -> str:
    """As much of it as can be a name: what stands behind a colon may be a secret."""
    name = NAME.match(variable)
    return name[0] if name else PREFIX


def _meant(name: str, known: Collection[str]) -> str:
    """The variable that is nearest to a name in capitals without the prefix; "" where none is near."""
    for pattern in LIKELY:
        if parts := pattern.fullmatch(name):
            return f"{PROVIDERS}{parts[1]}__{parts[2] or 'CLIENT_ID'}"
    near = difflib.get_close_matches(name.lower(), known, 1)
    return PREFIX + near[0].upper() if near else ""
