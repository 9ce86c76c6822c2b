"""Which repository, branch and CI run a message is about, as the CI says in its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINK = re.compile(r"https?://[A-Za-z0-9.:-]{1,200}(/[A-Za-z0-9._~%/+-]{0,300})?")
"""Without anything that could end a link of Slack's, or hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run took place."""

    project: str
    """Path of the repository, or the name of its folder."""
    branch: str | None = None
    link: str | None = None
    """URL of the CI run."""


def origin_of(environment: Mapping[str, str], folder: str) -> Origin:
    """What GitHub Actions or GitLab say; elsewhere the name of ``folder`` is all that is known."""
    say = environment.get
    if say("GITHUB_ACTIONS") == "true" and (project := say("GITHUB_REPOSITORY")):
        link = f"{say('GITHUB_SERVER_URL')}/{project}/actions/runs/{say('GITHUB_RUN_ID')}"
        branch = say("GITHUB_HEAD_REF") or say("GITHUB_REF_NAME")
    elif say("GITLAB_CI") == "true" and (project := say("CI_PROJECT_PATH")):
        link = say("CI_PIPELINE_URL") or ""
        branch = say("CI_COMMIT_REF_NAME")
    else:
        return Origin(project=folder)
    return Origin(
        project=project, branch=branch or None, link=link if _LINK.fullmatch(link) else None
    )
