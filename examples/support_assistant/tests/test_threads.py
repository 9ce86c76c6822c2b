import pytest

pytestmark = pytest.mark.vcr


@pytest.mark.asyncio
@pytest.mark.crashlens(task="summarization")
async def test_summary_names_what_is_open(assistant, thread):
    problem, done, still_open = (await assistant.summarise(thread)).splitlines()
    assert problem.startswith("Problem:")
    assert "P-55120" in done
    assert "20 March" in still_open


def test_second_question_reads_the_thread_from_the_cache(assistant, thread):
    assert "59 euros" in assistant.ask_about(thread, "Which refund did we promise?")
    assert "Velo Brandt" in assistant.ask_about(thread, "Who replaced the brake?")
