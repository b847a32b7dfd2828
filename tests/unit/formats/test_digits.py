import pytest

from stronglens.formats.digits import decimals_of, limits, probability, share, stated, with_limits


@pytest.mark.parametrize(
    ("half_width", "decimals"),
    # Shown as 0.35, 0.4, 0.095, 0.035, 0.04, 0.012, 0.0096, 0.00035; of the last two, no more than 6.
    [(0.35, 2), (0.4, 2), (0.095, 2), (0.035, 3), (0.04, 2), (0.012, 3), (0.0096, 3), (3.5e-4, 5), (1e-9, 6)],
)
def test_decimals_follow_the_uncertainty(half_width: float, decimals: int) -> None:
    assert decimals_of(half_width) == decimals


def test_an_auc_of_few_objects_has_two_decimals_and_of_many_more() -> None:
    assert with_limits(0.93124, (0.89312, 0.96881)) == "0.93 [0.89, 0.97]"
    assert with_limits(0.98765, (0.97212, 0.99694)) == "0.988 [0.972, 0.997]"
    assert with_limits(0.987654, (0.986421, 0.988876)) == "0.9877 [0.9864, 0.9889]"
    assert limits((0.00012, 0.00073)) == ("0.00012", "0.00073")


def test_without_an_interval() -> None:
    assert stated(0.987654) == with_limits(0.987654, None) == "0.988"
    assert stated(1.0, (1.0, 1.0)) == "1.000"
    assert stated(None, (0.1, 0.2)) == "undefined"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5018769106612369, "0.502"),
        (0.012345, "0.0123"),
        (1.2345e-7, "1.23e-07"),
        (0.9, "0.900"),
        (0.99961234, "0.999612"),
        (0.0, "0"),
        (1.0, "1"),
    ],
)
def test_a_threshold_is_never_shown_as_0_or_1_that_it_is_not(value: float, shown: str) -> None:
    assert probability(value) == shown


@pytest.mark.parametrize(
    ("n", "n_all", "shown"),
    [
        (3, 22, "14 %"),
        (300, 2_200, "13.6 %"),
        (3_000, 22_000, "13.64 %"),
        (2, 94_000, "0.002 %"),
        (93_998, 94_000, "99.998 %"),
        (1, 192, "0.5 %"),
        (0, 192, "0 %"),
        (192, 192, "100 %"),
        (0, 0, "undefined"),
    ],
)
def test_shares_have_the_digits_of_their_counts(n: int, n_all: int, shown: str) -> None:
    assert share(n, n_all) == shown
