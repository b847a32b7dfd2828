"""One object: drawn, lensed or not, observed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stronglens.simulation.domains import HSC, SLSIM, Domain
from stronglens.simulation.galaxies import draw_field
from stronglens.simulation.grid import Floats
from stronglens.simulation.lenses import LensSystem, draw_lens_system
from stronglens.simulation.light import render
from stronglens.simulation.lookalikes import draw_lookalike
from stronglens.simulation.observing import observe

DOMAINS: dict[Literal["slsim", "hsc"], Domain] = {"slsim": SLSIM, "hsc": HSC}
_POINTING_SCATTER_ARCSEC = 0.07


@dataclass(frozen=True)
class SimulatedObject:
    """An object and what is known of it.

    Attributes
    ----------
    images : ndarray of float64, shape (5, 41, 41)
        Axes (band, y, x), in counts.
    system : LensSystem
        The lens; for a non-lens, the system that it was made from, which gives its redshift and the
        magnitudes of the galaxy in the middle.
    is_lens : bool
        Whether the system was lensed.
    """

    images: Floats
    system: LensSystem
    is_lens: bool


def simulate_object(
    rng: np.random.Generator, domain_name: Literal["slsim", "hsc"], is_lens: bool
) -> SimulatedObject:
    """Draw an object and observe it.

    Place, surroundings, seeing, sky and noise are drawn alike for lenses and non-lenses.
    """
    domain = DOMAINS[domain_name]
    x, y = rng.normal(0, _POINTING_SCATTER_ARCSEC, 2).tolist()
    system = draw_lens_system(rng, domain, x, y)
    lights = system.deflector.lights_at(x, y) if is_lens else draw_lookalike(rng, domain, system)
    image = render(lights + draw_field(rng, domain.field_density_factor))
    if is_lens:
        system.render_arcs(image)
    return SimulatedObject(observe(image, domain.conditions, rng), system, is_lens)
