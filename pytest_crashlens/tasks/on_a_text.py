"""Cues of tasks that do something with a given text."""

# ruff: noqa: E501 - a pattern is one line, whatever its length

from __future__ import annotations

from pytest_crashlens.tasks.words import LABELS, LANGUAGES, ORDER, TEXTS, Table

ON_A_TEXT: Table = (
    (
        "summarization",
        "order: summarize",
        5,
        ORDER + r"(?:briefly )?(?:summari[sz]e|sum up|recap|condense|digest)\b",
    ),
    ("summarization", "tl;dr", 5, r"\btl;? ?dr\b"),
    (
        "summarization",
        "order: write a summary",
        5,
        ORDER
        + r"(?:write|give|provide|produce|create|make|generate|prepare|draft)\b(?: me)?(?: an?| the)? ?(?:\S+ ){0,3}(?:summar(?:y|ies|i[sz]ation)|synopsis|abstracts?|recap|gist|minutes)\b",
    ),
    (
        "summarization",
        "you summarize",
        5,
        r"\byou (?:write|produce|create|make|generate) (?:\S+ ){0,2}summaries\b|\bproduces? (?:an? |the )?(?:abstract|summary)\b|\byou summari[sz]e\b|\bsummari[sz](?:er|ation) (?:assistant|engine|bot|model)\b",
    ),
    (
        "summarization",
        "key points of a text",
        4,
        r"\b(?:key|main|important) (?:points?|takeaways?|ideas?)\b.{0,30}\b(?:of|from|in)\b.{0,25}\b"
        + TEXTS,
    ),
    (
        "summarization",
        "shorten to the essence",
        4,
        r"\b(?:boil|shorten|reduce|cut)\b.{0,30}\bdown\b|\bshorten (?:the|this) \S+ to\b|\bshort version of (?:this|the)\b|\bone-line gist\b",
    ),
    (
        "summarization",
        "a length in sentences",
        1,
        r"\bin (?:one|two|three|1|2|3|a single|a few) (?:short )?(?:sentences?|paragraphs?)\b|\bno more than \w+ (?:sentences|words)\b",
    ),
    ("classification", "order: classify", 5, ORDER + r"(?:classify|categori[sz]e)\b"),
    (
        "classification",
        "you classify",
        5,
        r"\byou are an? (?:\S+ ){0,3}(?:classifier|filter|moderator)\b|\byou classify\b",
    ),
    (
        "classification",
        "order: label, tag, route",
        4,
        ORDER + r"(?:label|tag|route|assign)\b.{0,60}\b(?:as|with|to|from|one of)\b",
    ),
    (
        "classification",
        "which category",
        4,
        r"\bwhich (?:of (?:these|the following) )?"
        + LABELS
        + r"\b|\b(?:possible|available|the following|these) "
        + LABELS
        + r"\b.{0,20}:",
    ),
    ("classification", "sentiment", 4, r"\bsentiment\b"),
    (
        "classification",
        "whether it is so",
        4,
        ORDER
        + r"(?:decide|determine|judge|identify|predict|detect|tell me|tell|check|assess|classify) (?:if|whether)\b",
    ),
    (
        "classification",
        "order: predict",
        3,
        ORDER
        + r"(?:predict|determine|detect|identify) the (?:intent|language|topic|tone|emotion|label|class|category|type|author)\b",
    ),
    (
        "classification",
        "one of a few answers",
        3,
        r"\b(?:answer|reply|respond|output|return|say|say only|select|choose)\b(?: only)?(?: with)?(?: either)? ?[\"']?(?:yes|true|spam|supported|support|positive|1|0|[a-d]|true or|true/false)\b[^.\n]{0,30}\b(?:or|and|/)\b",
    ),
    (
        "classification",
        "labels only",
        3,
        r"\b(?:return|output|answer with|reply with|respond with)\b[^.\n]{0,20}\b(?:label|category|class|queue'?s? name|one word)\b",
    ),
    (
        "classification",
        "rate on a scale",
        3,
        ORDER
        + r"(?:rate|score|grade)\b.{0,60}\b(?:as|low|high|from \d|between|scale|1 to|[0-9]-[0-9])\b",
    ),
    ("classification", "x, y or z", 2, r"\b(?:as|is|into|be) (?:\S+, )+\S+,? or \S+"),
    (
        "classification",
        "contains what is unwanted",
        4,
        r"\bif\b.{0,30}\b(?:contains?|is)\b.{0,15}\b(?:hate speech|toxic|spam|offensive|fraud)",
    ),
    (
        "extraction",
        "order: extract",
        5,
        ORDER + r"(?:extract|pull out|pick out|copy out|parse out)\b",
    ),
    (
        "extraction",
        "you extract",
        5,
        r"\byou (?:extract|pull)\b|\b(?:information|data|entity) extraction\b|\bextract(?:or|s)\b",
    ),
    (
        "extraction",
        "order: list all of a text",
        4,
        ORDER
        + r"(?:find|list|identify|get|retrieve|return|collect|pull|locate)\b (?:out )?(?:all|every|any|each|the)\b.{0,60}\b(?:in|from|mentioned in|of) (?:the|this|each|following|these)\b.{0,20}\b"
        + TEXTS,
    ),
    (
        "extraction",
        "order: parse into fields",
        4,
        ORDER + r"parse (?:the|this|these)\b.{0,40}\binto\b",
    ),
    (
        "extraction",
        "fill in fields",
        4,
        r"\bfill (?:in|out) (?:these|the(?: following)?) fields\b|\buse null if\b",
    ),
    (
        "extraction",
        "from the text, get",
        4,
        r"\bfrom the (?:\S+ )?" + TEXTS + r"\b[^.\n]{0,20}, (?:get|list|give|return|find)\b",
    ),
    (
        "extraction",
        "what is in the text",
        4,
        r"\b(?:in|does) this " + TEXTS + r"\b(?: mention|\?)|\bmentioned in (?:the|this)\b",
    ),
    (
        "extraction",
        "as json",
        2,
        r"\b(?:as|in|output|return|valid) (?:a )?json\b|\bmatching the schema\b|\bcsv\b",
    ),
    ("extraction", "entities", 3, r"\b(?:named )?entit(?:y|ies)\b"),
    ("translation", "order: translate", 6, ORDER + r"translate\b"),
    (
        "translation",
        "you translate",
        6,
        r"\byou are an? (?:\S+ ){0,3}(?:translator|interpreter)\b|\byou (?:translate|locali[sz]e)\b",
    ),
    ("translation", "how do you say", 6, r"\bhow (?:do|would) (?:you|i|we) say\b"),
    (
        "translation",
        "into a language",
        5,
        ORDER
        + r"(?:render|put|convert|turn|give)\b.{0,60}\b(?:in|into|to|the) (?:plain )?"
        + LANGUAGES
        + r"\b",
    ),
    (
        "translation",
        "from one language to another",
        5,
        r"\b"
        + LANGUAGES
        + r"(?:-| )(?:to|into)(?:-| )"
        + LANGUAGES
        + r"\b|\b(?:source|target) language\b",
    ),
    (
        "translation",
        "in other languages: translate",
        6,
        r"\bübersetze\b|\btradui[st]\b|\btraduce\b|\btraduza\b|\btraduci\b|\bvertaal\b|переведи|翻译|翻訳|번역",
    ),
    (
        "rewriting",
        "order: rewrite",
        6,
        ORDER + r"(?:rewrite|re-?phrase|paraphrase|reword|proofread|polish)\b",
    ),
    (
        "rewriting",
        "you polish texts",
        5,
        r"\byou (?:polish|edit|proofread|correct) \b|\b(?:copy ?editor|proofreader)\b",
    ),
    (
        "rewriting",
        "order: correct the language",
        5,
        ORDER
        + r"(?:correct|fix|check|improve)\b.{0,20}\b(?:grammar|spelling|punctuation|style|wording|tone|typos)\b",
    ),
    (
        "rewriting",
        "make it so",
        4,
        ORDER
        + r"make (?:this|the|my) .{0,30}\b(?:more|less|shorter|simpler|clearer|polite|formal)\b",
    ),
    (
        "rewriting",
        "turn a text into another form",
        4,
        ORDER
        + r"(?:turn|change|convert|put|transform|replace|remove|simplify|expand)\b.{0,50}\b(?:voice|person|tense|sentence|words|text|abbreviations|paragraph)\b",
    ),
)
