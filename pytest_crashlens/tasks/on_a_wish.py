"""Cues of tasks that make something new or answer something."""

# ruff: noqa: E501 - a pattern is one line, whatever its length

from __future__ import annotations

from pytest_crashlens.tasks.words import ORDER, PROGRAMS, WORKS, Table

ON_A_WISH: Table = (
    (
        "code",
        "code in the text",
        3,
        r"\bdef \w+\(|\breturn \w+\s*[-+*/(]|\bfor \w+ in \w+.*:|```(?:python|js|javascript|java|sql|bash|sh|rust|go|c|cpp|ts|typescript)?\b|=>|\bimport \w+\b.*\n|\bselect\b.+\bfrom\b.+\bwhere\b|#include|\bpublic static\b",
    ),
    ("code", "order: implement", 4, ORDER + r"(?:implement|refactor|debug|code)\b"),
    (
        "code",
        "order: write a program",
        5,
        ORDER
        + r"(?:write|create|generate|give me|complete|add|build|develop|design|make|provide|suggest)\b.{0,40}\b(?:function|program|script|code|class|unit tests?|quer(?:y|ies)|regular expression|regex|dockerfile|component|command|endpoint|api|algorithm|type hints|sql|method)\b(?!-)",
    ),
    (
        "code",
        "a language or tool",
        2,
        r"\b(?:in|using|with|a|this|to|your) " + PROGRAMS + r"\b(?! \w+ (?:food|dance))",
    ),
    (
        "code",
        "a fault in a program",
        4,
        r"\b(?:bug|typeerror|valueerror|keyerror|syntaxerror|exception|traceback|stack trace|compile error|segfault|null pointer)\b",
    ),
    (
        "code",
        "you program",
        5,
        r"\byou are an? (?:\S+ ){0,3}(?:programmer|developer|coding assistant|software engineer|code reviewer)\b|\breturn only code\b",
    ),
    (
        "code",
        "order: review code",
        4,
        ORDER
        + r"(?:review|explain|fix|optimi[sz]e|refactor|convert|complete|add)\b.{0,40}\b(?:code|diff|function|loop|script|query|snippet|pull request|module)\b",
    ),
    (
        "code",
        "a piece of a program",
        2,
        r"\b(?:python|javascript|c\+\+|java|html|css|sql|regex|dockerfile|api|linked list|binary tree|array|async/await|div|frontend|leetcode)\b",
    ),
    (
        "reasoning",
        "step by step",
        4,
        r"\bstep[- ]by[- ]step\b|\bshow (?:your|the) (?:work|steps|calculation|reasoning)\b|\bexplain (?:your reasoning|each step)\b|\bintermediate steps\b|\breasoning steps\b",
    ),
    (
        "reasoning",
        "order: solve",
        4,
        ORDER
        + r"(?:solve|solving|prove|calculate|compute|estimate|derive|evaluate|simplify)\b(?! the legal)",
    ),
    (
        "reasoning",
        "a word problem",
        3,
        r"\bmath(?:s|ematic\w*)?\b.{0,20}\b(?:problem|question)|\briddle\b|\bprobability\b|\bequations?\b|\bnext number\b",
    ),
    (
        "reasoning",
        "a formula",
        3,
        r"\b\d+\s*[*/\u00d7^+]\s*\d+|\b\d*[xyz]\s*[-+=]\s*\d|\bf\(x\)|\bx\^?\d|\bderivative\b|\bintegral\b|\bsquare root\b",
    ),
    (
        "reasoning",
        "how many, with numbers",
        3,
        r"(?m:^)(?=.*\d.*\d)(?=.*\bhow (?:many|much|long|far|old)\b)",
    ),
    (
        "reasoning",
        "if, then how",
        2,
        r"(?s)\bif\b.{0,120}\b(?:how (?:many|much|long)|what is|who is|when does|are all)\b",
    ),
    (
        "reasoning",
        "a comparison of people",
        3,
        r"\b(?:taller|older|faster|shorter|younger|heavier) than\b.*\b(?:taller|older|faster|shorter|younger|heavier|who)\b",
    ),
    (
        "reasoning",
        "a syllogism",
        4,
        r"\ball \w+ are \w+|\bwho is lying\b|\buse logic\b|\blogical(?:ly)?\b",
    ),
    ("reasoning", "you calculate", 4, r"\byou are an? (?:\S+ ){0,3}mathematician\b"),
    (
        "content_generation",
        "order: write a work",
        5,
        ORDER
        + r"(?:write|compose|draft|create|craft|produce|prepare|generate|give me|tell me|make|pen)\b(?: up)?(?: an?| the| some| me| my| three| ten| five)?(?: (?!why|how|what|if|whether)\S+){0,5}? "
        + WORKS
        + r"\b",
    ),
    (
        "content_generation",
        "order: brainstorm, invent",
        5,
        ORDER + r"(?:brainstorm|invent|make up|come up with (?!the\b)|picture yourself)",
    ),
    (
        "content_generation",
        "order: play a part",
        5,
        ORDER
        + r"(?:pretend|act as|role-?play|assume the role|embody|take on the (?:role|persona))\b|\bin the (?:style|voice|manner) of\b",
    ),
    (
        "content_generation",
        "you write",
        5,
        r"\byou are an? (?:\S+ ){0,3}(?:copywriter|poet|novelist|storyteller|writer)\b|\byou write (?:\S+ ){0,2}(?:descriptions|copy|posts|stories|poems|emails)\b",
    ),
    (
        "content_generation",
        "imagine yourself",
        3,
        r"\b(?:imagine|suppose) (?:you|yourself)\b|\b(?:if|as) you were\b|\bintroduce yourself\b",
    ),
    ("content_generation", "order: compose", 3, ORDER + r"(?:compose|draft|craft)\b"),
    (
        "content_generation",
        "a creative work",
        1,
        r"\b(?:poem|haiku|slogan|blog post|lyrics|creative|newsletter|fictional)\b",
    ),
    (
        "basic_q_and_a",
        "a question",
        3,
        r"^(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|has|have)\b[^\n]*\?\s*$",
    ),
    (
        "basic_q_and_a",
        "can you explain",
        3,
        ORDER
        + r"(?:explain|describe|define) (?:the|what|how|why|to me)\b|\bcan you (?:tell me|explain)\b",
    ),
    (
        "basic_q_and_a",
        "answers from a context",
        5,
        r"\banswers? (?:the (?:\S+ )?question|questions)\b|\bcontext:.*\bquestion:|\byou answer questions\b",
    ),
    ("basic_q_and_a", "what is it", 2, r"^(?:what (?:is|are|was|were|does)|who|when|where|why)\b"),
    (
        "basic_q_and_a",
        "differences between",
        2,
        r"\bdifferences? between\b|\bhow (?:do|does|did|can) \S+",
    ),
    (
        "chat",
        "a greeting",
        4,
        r"^(?:hi|hello|hey|good (?:morning|evening|afternoon)|what'?s up|how are you|nice to meet you|thanks|thank you|ok|lol|haha|bye|see you)\b[^\n]{0,60}$",
    ),
    ("chat", "you are company", 5, r"\b(?:companion|conversation partner|chat with the user)\b"),
    (
        "chat",
        "of oneself",
        2,
        r"^(?:i feel|i'm|i am|my \w+)\b[^\n?]{0,60}$|^you are (?:great|nice|funny)",
    ),
)
