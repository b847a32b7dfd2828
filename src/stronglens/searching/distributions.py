"""What Optuna knows the searched keys as."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from stronglens.searching.space import number_type, written
from stronglens.settings.search import Dimension


def distribution_of(
    key: str, dimension: Dimension
) -> CategoricalDistribution | IntDistribution | FloatDistribution:
    """What Optuna knows a dimension as."""
    if dimension.choices is not None:
        return CategoricalDistribution([written(one) for one in dimension.choices])
    low, high, step = float(dimension.low or 0), float(dimension.high or 0), dimension.step
    if step is not None:  # the last step that is not beyond, as Optuna would take with a warning
        high = low + step * int((high - low) / step + 1e-9)
    if number_type(key) is int:
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
    return FloatDistribution(low, high, log=dimension.log, step=step)
