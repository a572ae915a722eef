import pytest

from api.commands.desk import wait_of


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [
        ([], 2.0, ""),
        (["wait=3"], 3, "wait=3"),
        (["respond-async, wait=3"], 3, "wait=3"),
        (["respond-async", "Wait = 4 ; x=1"], 4, "wait=4"),
        (["wait=600"], 10, "wait=10"),
        (["wait=-1"], 2.0, ""),
        (["wait=1e3"], 2.0, ""),
        (["wait"], 2.0, ""),
        (["await=3"], 2.0, ""),
        (["wait=9999999999"], 2.0, ""),
        (["return=minimal, wait=1, wait=2"], 1, "wait=1"),
        (['wait="3"'], 3, "wait=3"),
        # What stands between quotes is text, whatever it looks like.
        (['x="a,wait=9", wait=1'], 1, "wait=1"),
        (['x="a\\",wait=9"; y=",wait=8,"', "wait=1"], 1, "wait=1"),
        (['x="a,wait=9"'], 2.0, ""),
        (['x="a, wait=9', "wait=1"], 2.0, ""),
        (['wait="3'], 2.0, ""),
        (['wait=3"'], 2.0, ""),
        # A head may be so long, and must not take a second.
        (['"\\' * 32_000], 2.0, ""),
        (['"' * 32_001], 2.0, ""),
        (['wait=1"",' * 8_000 + "wait=2"], 2, "wait=2"),
    ],
)
def test_f6_a_preference_is_bounded_and_a_bad_one_is_none(
    prefer: list[str], seconds: float, applied: str
) -> None:
    wait = wait_of(prefer, 2_000, 10_000)
    assert wait.seconds == seconds
    assert wait.headers == ((("Preference-Applied", applied),) if applied else ())
