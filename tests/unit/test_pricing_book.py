"""The price book: layers, what must not get a price, and independence of everything around."""

import decimal
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from freezegun import freeze_time

from pytest_crashlens.errors import PriceError
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.book import PriceBook, Unpriced, UserPrice
from pytest_crashlens.pricing.card import Rate, RateCard, cost
from pytest_crashlens.pricing.overlay import load_overlay, overlay_from_plain

GOLDEN = json.loads(Path(__file__).with_name("pricing_golden.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE_EACH = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
CHEAP = {"input": Rate(Decimal("0.5")), "output": Rate(Decimal("1.5"))}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(at=NOW)


def golden_card(case: dict) -> RateCard | Unpriced:
    return PriceBook(at=datetime.fromisoformat(case["at"])).card(
        case["provider"],
        case["model"],
        service_tier=case["context"].get("service_tier"),
        batch=case["context"].get("processing") == "batch",
    )


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_golden(case):
    card = golden_card(case)
    assert isinstance(card, RateCard), card
    usage = Usage.from_dict(case["usage"])
    result = cost(card, usage)
    assert result.usd == Decimal(case["expected_usd"])
    assert result.status == "priced"
    stored = RateCard.from_dict(json.loads(json.dumps(card.to_dict())))
    assert cost(stored, usage) == result


@pytest.mark.parametrize("name", GOLDEN["must_not_price"], ids=lambda name: name["model"])
def test_must_not_price(book, name):
    found = book.card(name["provider"], name["model"])
    assert isinstance(found, Unpriced)
    assert found.reason


@pytest.mark.parametrize(
    ("provider", "model", "same_as"),
    [
        ("google", "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("vertex", "publishers/google/models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        (
            "vertex",
            "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro",
            ("google", "gemini-2.5-pro"),
        ),
        ("google", "google/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("azure", "gpt-35-turbo", ("openai", "gpt-3.5-turbo")),
        ("azure", "gpt-4o-2024-08-06", ("openai", "gpt-4o")),
        ("openai", "azure/gpt-4o", ("openai", "gpt-4o")),
        ("openai", "anthropic/claude-opus-4-1", ("anthropic", "claude-opus-4-1-20250805")),
        ("openai", "claude-opus-4-1-20250805", ("anthropic", "claude-opus-4-1-20250805")),
        ("my-gateway", "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("openai", "GPT-4o-Mini", ("openai", "gpt-4o-mini")),
        ("xai", "grok-4", ("x-ai", "grok-4-0709")),
        ("openrouter", "openrouter/openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        ("openai", "gpt-5.2-20251211", ("openai", "gpt-5.2")),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-6",
            ("aws", "us.anthropic.claude-sonnet-4-6"),
        ),
        ("openai", "bedrock/us-east-1/amazon.nova-lite-v1:0", ("aws", "amazon.nova-lite-v1:0")),
        ("vertex", "claude-3-5-sonnet-v2@20241022", ("google", "claude-3-5-sonnet@20240620")),
    ],
)
def test_spellings_of_one_model_cost_the_same(book, provider, model, same_as):
    card, expected = book.card(provider, model), book.card(*same_as)
    assert isinstance(card, RateCard), card
    assert isinstance(expected, RateCard), expected
    assert card.rates == expected.rates
    assert not card.context_not_priced


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("ollama", "gpt-4o"),
        ("openai", "ollama/gpt-4o"),
        ("openai", "gpt-oss-120b"),
        ("azure", "gpt-oss-120b"),
        ("my-gateway", "gpt-oss-120b"),
        ("my-gateway", "gemma-3-27b-it"),
        ("my-gateway", "deepseek-chat"),
        ("anthropic", "claude-2.1"),
        ("groq", "openai/gpt-4o"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:org::id"),
        ("azure", "my-o4-mini-deployment"),
        ("google", "gemini-2.5-pro-super"),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("openrouter", "meta-llama/llama-3.2-3b-instruct:free"),
        ("mistral", "mistral-ocr-latest"),
        ("openai", ""),
        ("openai", None),
        ("", "nothing"),
    ],
)
def test_a_guess_is_no_price(book, provider, model):
    assert isinstance(book.card(provider, model), Unpriced)


def test_a_near_name_is_suggested(book):
    assert book.card("openai", "gpt-4o-mimi").nearest == "gpt-4o-mini"
    held_back = book.card("anthropic", "claude-sonnet-4-5-turbo")
    assert held_back.nearest == "claude-sonnet-4-5"
    assert "only begins like" in held_back.reason


@pytest.mark.parametrize("tier", [None, "", "default", "auto", "standard", "on_demand", "DEFAULT"])
def test_standard_tiers_share_one_card(book, tier):
    assert book.card("openai", "gpt-5", service_tier=tier) == book.card("openai", "gpt-5")


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("openai", "gpt-5", "priority"),
        ("openai", "gpt-5", "flex"),
        ("anthropic", "claude-opus-5", "fast"),
    ],
)
def test_known_tiers_have_their_own_rates(book, provider, model, tier):
    card = book.card(provider, model, service_tier=tier)
    assert card.tier == tier
    assert not card.context_not_priced
    assert cost(card, ONE_EACH).usd != cost(book.card(provider, model), ONE_EACH).usd


@pytest.mark.parametrize(
    ("provider", "model", "kwargs", "tier"),
    [
        ("openai", "gpt-5", {"service_tier": "scale"}, "scale"),
        ("openai", "gpt-3.5-turbo", {"service_tier": "flex"}, "flex"),
        ("azure", "gpt-5", {"service_tier": "priority"}, "priority"),
        ("deepseek", "deepseek-chat", {"batch": True}, "batch"),
        ("openrouter", "openai/gpt-4o:online", {}, "online"),
    ],
)
def test_a_tier_without_known_rates_is_partial(book, provider, model, kwargs, tier):
    card = book.card(provider, model, **kwargs)
    assert (card.tier, card.context_not_priced) == (tier, True)
    assert cost(card, ONE_EACH).status == "partial"


def test_batch_is_half_and_may_be_a_service_tier(book):
    batch = book.card("anthropic", "claude-sonnet-4-5", batch=True)
    assert (
        cost(batch, ONE_EACH).usd < cost(book.card("anthropic", "claude-sonnet-4-5"), ONE_EACH).usd
    )
    assert batch == book.card("anthropic", "claude-sonnet-4-5", service_tier="batch")


def test_gemini_bills_images_as_text_and_audio_apart(book):
    card = book.card("google", "gemini-2.5-flash")
    assert card.rates["input_image"] == card.rates["input"]
    assert card.rates["input_audio"] != card.rates["input"]


@pytest.fixture
def small_list(monkeypatch) -> None:
    """A price list whose first row matches by prefix only, and one that says 0."""
    from genai_prices import data, types

    def row(name, match, **rates):
        return types.ModelInfo(id=name, match=match, prices=types.ModelPrice(**rates))

    models = [
        row("m", types.ClauseStartsWith("m"), input_mtok=Decimal(9)),
        row("m-mini", types.ClauseStartsWith("m-mini"), input_mtok=Decimal(1)),
        row("zero", types.ClauseEquals("zero"), input_mtok=Decimal(0), output_mtok=Decimal(0)),
    ]
    provider = types.Provider(id="mistral", name="M", api_pattern="", models=models)
    monkeypatch.setattr(data, "providers", [provider])


@pytest.mark.usefixtures("small_list")
def test_a_dated_row_beats_an_earlier_prefix():
    assert PriceBook(at=NOW).card("mistral", "m-mini-2410").model == "m-mini"
    assert PriceBook(at=NOW).card("mistral", "m-maxi").reason.startswith("'m-maxi' only begins")


@pytest.mark.usefixtures("small_list")
def test_a_list_that_says_zero_does_not_make_it_free():
    assert "no price above 0" in PriceBook(at=NOW).card("mistral", "zero").reason


def test_lookups_are_kept(book):
    assert book.card("openai", "gpt-4o") is book.card("openai", "gpt-4o")


def test_source_has_no_version(book):
    assert book.card("openai", "gpt-4o").source == "genai-prices"
    audio = book.card("openai", "gpt-4o-audio-preview")
    assert audio.source.startswith("overlay: https://")
    assert book.card("my-gateway", "openai/gpt-4o-audio-preview").rates == audio.rates


def test_user_prices_come_first_and_the_first_match_wins():
    users = (
        UserPrice("openai/gpt-4o", rates=CHEAP, source="contract 2026-03"),
        UserPrice("gpt-4o*", free=True),
    )
    book = PriceBook(users, at=NOW)
    card = book.card("openai", "gpt-4o-2024-08-06", service_tier="flex")
    assert card.source == "crashlens.yml: contract 2026-03"
    assert cost(card, ONE_EACH).usd == Decimal(2)
    assert cost(card, ONE_EACH).status == "priced"
    assert book.card("openai", "gpt-4o-mini").free
    assert book.card("openai", "gpt-4.1").source == "genai-prices"


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "matches"),
    [
        ("ollama/*", "ollama", "llama3:8b", True),
        ("ollama/*", "openai", "ollama/llama3", True),
        ("ollama/*", "openai", "llama3", False),
        ("google/gemini-x", "vertex", "gemini-x", True),
        ("GPT-4", "openai", "gpt-4-0613", True),
        ("gpt-4", "openai", "gpt-4-turbo", False),
        ("gpt-4", "openai", "gpt-4o", False),
        ("o1", "openai", "o1-preview", False),
        ("a.c", "openai", "abc", False),
        ("*/m", "acme", "m", True),
        ("openai/[m]", "openai", "m", False),
    ],
)
def test_patterns(pattern, provider, model, matches):
    assert UserPrice(pattern, free=True).matches(provider, model) is matches


def test_same_as_takes_the_price_of_another_model():
    book = PriceBook((UserPrice("azure/my-prod", same_as="azure/gpt-4o-2024-08-06"),), at=NOW)
    card = book.card("azure", "my-prod", batch=True)
    target = book.card("azure", "gpt-4o-2024-08-06", batch=True)
    assert card.id == target.id
    assert card.source == "crashlens.yml same as azure/gpt-4o-2024-08-06"


def usd(card):
    assert isinstance(card, RateCard)
    return {name: rate.base for name, rate in card.rates.items()}


def times(card, factor):
    return {name: price * Decimal(factor) for name, price in usd(card).items()}


def test_a_multiplier_changes_the_list_price(book):
    discounted = PriceBook((UserPrice("azure/*", multiplier=Decimal("0.8")),), at=NOW)
    card, whole = discounted.card("azure", "gpt-4o"), book.card("azure", "gpt-4o")
    assert usd(card) == times(whole, "0.8")
    assert card.source == "crashlens.yml, x 0.8 of genai-prices"
    assert card.id != whole.id
    assert discounted.card("openai", "gpt-4o") == book.card("openai", "gpt-4o")
    assert isinstance(discounted.card("azure", "my-gpt4o-prod"), Unpriced)


def test_a_multiplier_holds_above_thresholds_and_for_tiers(book):
    name = ("google", "gemini-2.5-pro")
    doubled = PriceBook((UserPrice("google/*", multiplier=Decimal(2)),), at=NOW)
    ((start, price),) = book.card(*name).rates["input"].above
    assert doubled.card(*name).rates["input"].above == ((start, price * 2),)
    card = doubled.card("openai", "gpt-4o", batch=True)
    assert card == book.card("openai", "gpt-4o", batch=True)


def test_a_multiplier_beside_same_as(book):
    dearer = UserPrice("acme/x", same_as="openai/gpt-4o", multiplier=Decimal("1.055"))
    card = PriceBook((dearer,), at=NOW).card("acme", "x")
    assert usd(card) == times(book.card("openai", "gpt-4o"), "1.055")
    assert card.source == "crashlens.yml same as openai/gpt-4o, x 1.055"


@pytest.mark.parametrize("turn", [1, -1])
def test_a_deployment_below_a_discount_is_discounted_once(book, turn):
    users = (
        UserPrice("azure/*", multiplier=Decimal("0.8")),
        UserPrice("azure/my-prod", same_as="azure/gpt-4o"),
    )[::turn]
    card = PriceBook(users, at=NOW).card("azure", "my-prod")
    assert usd(card) == times(book.card("azure", "gpt-4o"), "0.8")


def test_the_first_of_two_multipliers_holds(book):
    users = (UserPrice("azure/*", multiplier=Decimal("0.8")), UserPrice("*", multiplier=Decimal(2)))
    both = PriceBook(users, at=NOW)
    assert usd(both.card("azure", "gpt-4o")) == times(book.card("azure", "gpt-4o"), "0.8")
    assert usd(both.card("openai", "gpt-4o")) == times(book.card("openai", "gpt-4o"), "2")


def test_a_multiplied_price_that_no_card_can_hold():
    users = (
        UserPrice("acme/*", multiplier=Decimal(100)),
        UserPrice("acme/x", {"input": Rate(Decimal(900_000_000))}),
    )
    assert "999999999" in PriceBook(users, at=NOW).card("acme", "x").reason


def test_same_as_in_a_circle_ends():
    users = (UserPrice("acme/a", same_as="acme/b"), UserPrice("acme/b", same_as="acme/a"))
    assert isinstance(PriceBook(users, at=NOW).card("acme", "a"), Unpriced)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"free": True, "rates": CHEAP},
        {"same_as": "gpt-4o"},
        {"free": True, "multiplier": Decimal(2)},
        {"rates": CHEAP, "multiplier": Decimal(2)},
        {"multiplier": Decimal(0)},
        {"rates": {"inptu": Rate(Decimal(1))}},
    ],
)
def test_a_user_price_says_one_thing(fields):
    with pytest.raises(PriceError, match="x/y"):
        UserPrice("x/y", **fields)


def test_overlay_rows_have_their_time():
    def long_call(at):
        card = PriceBook(at=datetime.fromisoformat(at)).card(
            "anthropic", "claude-sonnet-4-20250514"
        )
        return cost(card, Usage(input_tokens=1_000_000, output_tokens=0)).usd

    assert long_call("2026-04-30T23:59:59Z") == 6
    assert long_call("2026-05-01T00:00:00Z") == 3
    assert long_call("2025-08-11T23:59:59Z") == 3


def test_vertex_and_the_gemini_api_differ(book):
    vertex, google = (book.card(name, "gemini-2.0-flash-001") for name in ("vertex", "google"))
    assert vertex.rates["input"] == Rate(Decimal("0.15"))
    assert google.rates["input"] == Rate(Decimal("0.1"))


def test_every_overlay_row_names_its_source():
    assert all(" (20" in row.source and "https://" in row.source for row in load_overlay())


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"providers": ["p"], "models": ["m"], "source": "s", "as_of": "d"},
        {"providers": ["p"], "models": ["m"], "source": "s", "as_of": "d", "rates": {"input": 1}},
        {"providers": ["p"], "models": ["m"], "source": "s", "as_of": "d", "free": True, "to": 1},
        {"providers": ["p"], "models": ["m"], "source": "s", "free": True},
        {
            "providers": ["p"],
            "models": ["m"],
            "source": "s",
            "as_of": "d",
            "free": True,
            "from": "x",
        },
    ],
)
def test_a_broken_overlay_is_an_error(row):
    with pytest.raises(PriceError, match="overlay"):
        overlay_from_plain({"rows": [row]})


def test_the_time_needs_a_zone():
    with pytest.raises(ValueError, match="time zone"):
        PriceBook(at=datetime(2026, 1, 1))


def test_nothing_around_changes_a_price():
    import genai_prices.data_snapshot as snapshots

    def answers():
        book = PriceBook(at=NOW)
        asked = [("openai", "o3"), ("google", "gemini-2.5-pro"), ("deepseek", "deepseek-reasoner")]
        return [(card.id, cost(card, ONE_EACH)) for card in (book.card(*ask) for ask in asked)]

    expected = answers()
    with freeze_time("2025-01-01"):
        assert answers() == expected
    with decimal.localcontext(prec=2, traps=[decimal.Inexact, decimal.FloatOperation]):
        assert answers() == expected
    snapshots.set_custom_snapshot(snapshots.DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert answers() == expected
    finally:
        snapshots.set_custom_snapshot(None)


def test_looking_up_touches_no_files(fs):
    """pyfakefs: the book is made before, the lookup happens inside."""
    fs.pause()
    book = PriceBook(at=NOW)
    fs.resume()
    assert isinstance(book.card("openai", "gpt-4.1-mini"), RateCard)
    assert isinstance(book.card("openai", "gpt-9"), Unpriced)
