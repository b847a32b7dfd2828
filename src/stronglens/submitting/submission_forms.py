"""The forms in which the challenge takes answers."""

from dataclasses import dataclass

_FULL = (
    "RA,Dec,zlens,vel disp,ell_m,ell_m_PA,sh,sh_PA,Rein,ell_l,ell_l_PA,Reff_l,n_l_sers,"
    "mag_lens_g,mag_lens_r,mag_lens_i,mag_lens_z,mag_lens_y,zsrc,srcx,srcy,"
    "mag_src_g,mag_src_r,mag_src_i,mag_src_z,mag_src_y,ell_s,ell_s_PA,Reff_s,n_s_sers"
)
_TEMPLATE = (
    "ra,dec,zlens,mag_lens_g,mag_lens_r,mag_lens_i,mag_lens_z,mag_lens_y,"
    "ell_l,ell_l_PA,Rein,vel disp,sh,sh_PA,srcx,srcy,"
    "mag_src_g,mag_src_r,mag_src_i,mag_src_z,mag_src_y,zsrc,ell_s,ell_s_PA,Reff_s,n_s_sers,"
    "ell_m,ell_m_PA,Reff_l,n_l_sers,vel_disp,RA,Dec,"
    "mag_object_g,mag_object_r,mag_object_i,mag_object_z,mag_object_y,z_central"
)

_MEANT_BY = {"vel_disp": "vel disp"}
"""The parameter of a column that has another name."""


@dataclass(frozen=True)
class SubmissionForm:
    """Columns of a submission.

    Attributes
    ----------
    answer : str
        The column after `id`: `preds`, 0 or 1, or `prob`.
    parameters : tuple of str
        Columns after that.
    filler : int
        What is written into these columns where there is no estimate.
    """

    answer: str
    parameters: tuple[str, ...] = ()
    filler: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        return ("id", self.answer, *self.parameters)

    def columns_of(self, parameter: str) -> list[str]:
        """Columns for an estimate of a lens parameter; the template has two for one of them."""
        return [column for column in self.parameters if _MEANT_BY.get(column, column) == parameter]


FORMS = {
    "full": SubmissionForm("preds", tuple(_FULL.split(",")), -99),
    "template": SubmissionForm("preds", tuple(_TEMPLATE.split(",")), -999),
    "short": SubmissionForm("preds"),
    "probabilities": SubmissionForm("prob"),
}
"""The forms by their names in the settings; `full` is the original pipeline's, `template` the organisers'."""
