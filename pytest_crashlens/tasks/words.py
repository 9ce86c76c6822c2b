"""Words that several cues are made of."""

from __future__ import annotations

Table = tuple[tuple[str, str, int, str], ...]
"""Cues as (task, name, weight, pattern)."""

ORDER = (
    r"(?:(?:^|[.!?\n:;]\s*|[.!?]\"\s*)"
    r"(?:then |now |please |kindly |your (?:task|job|goal|role) is to )?"
    r"|\b(?:please|can you|could you|would you|will you|kindly|you|you must|and then|task is to"
    r"|job is to|want you to|need you to|like you to|help me(?: to)?|help|try to) )"
)
"""What stands before a verb that is an order, not a mention."""

TEXTS = (
    r"(?:text|article|paragraph|passage|document|e-?mail|thread|message|report|paper|transcript"
    r"|conversation|chapter|story|notes?|review|abstract|contract|chat|listing|letter|cv|resume"
    r"|minutes|table|call|plot|changelog|book|page|post)"
)
LANGUAGES = (
    r"(?:english|french|german|spanish|italian|portuguese|dutch|polish|russian|ukrainian|arabic"
    r"|hebrew|hindi|urdu|bengali|chinese|mandarin|japanese|korean|turkish|greek|swedish|danish"
    r"|norwegian|finnish|czech|hungarian|romanian|latin|vietnamese|thai|indonesian|persian|farsi)"
)
PROGRAMS = (
    r"(?:python|javascript|typescript|java|rust|golang|go|c\+\+|c#|kotlin|swift|php|ruby|scala"
    r"|perl|bash|shell|sql|html|css|react|vue|django|flask|fastapi|pytest|sqlalchemy|powershell|r)"
)
WORKS = (
    r"(?:poem|haiku|limerick|sonnet|story|tale|song|lyrics|essay|blog|article|post|tweet|slogans?"
    r"|taglines?|speech|script|dialogue|e-?mail|letter|cover letter|press release|newsletter|ad"
    r"|advert\w*|copy|descriptions?|jokes?|toast|review|names for|novel|scene|caption"
    r"|announcement|invitation|proposal|report|plan|itinerary|survey|riddle|quiz)"
)
LABELS = r"(?:categor(?:y|ies)|class(?:es)?|labels?|topics?|intents?|queues?|departments?|tags?)"
