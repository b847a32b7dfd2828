"""The units of lens parameters."""

import numpy as np

from stronglens.networks.lens_scaling import LensScaling, fit_scaling


def test_units_go_and_come_back() -> None:
    values = np.array([[1.0, 20.0, 7.0], [3.0, np.nan, 7.0], [np.nan, 24.0, 7.0]])
    scaling = fit_scaling(["Rein", "mag_lens_i", "zlens"], values)
    assert scaling.means == (2.0, 22.0, 7.0)
    assert scaling.stds == (1.0, 2.0, 1.0)  # of what is the same everywhere, 1
    outputs = scaling.to_outputs(values)
    assert outputs[:, 0].tolist()[:2] == [-1.0, 1.0]
    assert np.isnan(outputs).sum() == 2
    assert np.allclose(scaling.from_outputs(outputs), values, equal_nan=True)


def test_columns_are_parameters_and_their_widths() -> None:
    scaling = LensScaling(names=("vel disp", "Rein"), means=(200.0, 1.0), stds=(50.0, 0.5))
    plain = scaling.columns(np.array([[0.0, 1.0], [1.0, -1.0]]))
    assert {name: values.tolist() for name, values in plain.items()} == {
        "vel disp": [200.0, 250.0],
        "Rein": [1.5, 0.5],
    }
    wide = scaling.columns(np.array([[0.0, 1.0, 0.1, 0.2], [1.0, -1.0, 0.3, 0.4]]))
    assert list(wide) == ["vel disp", "vel disp_std", "Rein", "Rein_std"]
    assert wide["vel disp_std"].tolist() == [5.0, 15.0]  # a width has no mean to be added
    assert wide["Rein_std"].tolist() == [0.1, 0.2]
    assert wide["Rein"].tolist() == plain["Rein"].tolist()
