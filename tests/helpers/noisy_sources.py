"""Images of bright sources in noise."""

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]


def make_images(n: int = 6, size: int = 41, seed: int = 0) -> Images:
    """Noise with a bright source in the middle, on backgrounds that differ."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size // 2
    peak = generator.uniform(1, 80, (n, 1, 1))
    width = generator.uniform(1, 4, (n, 1, 1))
    source = peak * np.exp(-np.hypot(x, y) / width)
    noise = generator.normal(generator.uniform(-0.5, 0.5, (n, 1, 1)), 0.3, (n, size, size))
    return np.asarray(source + noise, dtype=np.float32)
