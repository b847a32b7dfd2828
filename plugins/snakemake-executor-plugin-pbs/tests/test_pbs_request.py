"""What a job asks a PBS server for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pbs_jobs import RESOURCES, FakeJob

from snakemake_executor_plugin_pbs.request import (
    Flavour,
    JobProperties,
    RequestError,
    job_name,
    qsub_arguments,
)


def properties(**resources: Any) -> JobProperties:
    return JobProperties.of(FakeJob(resources=RESOURCES | resources))


def arguments(flavour: Flavour, **resources: Any) -> str:
    return " ".join(qsub_arguments(properties(**resources), flavour, Path("logs/a.log")))


class TestRequest:
    def test_torque_gets_one_resource_list(self) -> None:
        # Slurm's wrapper keeps only the last -l.
        asked = arguments(Flavour.TORQUE)
        assert "-l nodes=1:ppn=8:gpus=1,mem=48000mb,walltime=72:00:00" in asked
        assert asked.count("-l ") == 1
        assert "ngpus" not in asked

    def test_openpbs_gets_a_chunk_and_the_walltime_apart(self) -> None:
        asked = arguments(Flavour.OPENPBS)
        assert "-l select=1:ncpus=8:ngpus=1:mem=48000mb -l walltime=72:00:00" in asked
        # A job-wide mem or ncpus beside select is rejected, nodes= gets no GPU.
        assert ",mem" not in asked
        assert "nodes" not in asked

    @pytest.mark.parametrize("flavour", list(Flavour))
    def test_only_snakemake_starts_a_job_again(self, flavour: Flavour) -> None:
        assert "-r n" in arguments(flavour)

    @pytest.mark.parametrize("flavour", list(Flavour))
    def test_a_rule_without_gpu_asks_for_none(self, flavour: Flavour) -> None:
        assert "gpu" not in arguments(flavour, gpu=0)

    def test_a_runtime_of_minutes_becomes_hours(self) -> None:
        assert "walltime=02:05:00" in arguments(Flavour.TORQUE, runtime=125)

    @pytest.mark.parametrize(
        ("flavour", "node"), [(Flavour.TORQUE, "v100:bigmem"), (Flavour.OPENPBS, "gpu_model=a100")]
    )
    def test_what_a_site_wants(self, flavour: Flavour, node: str) -> None:
        extra = "-m n -P lenses -W 'group_list=lens ing'"
        asked = qsub_arguments(
            properties(queue="long@big", account="my-project", pbs_node=node, pbs_extra=extra),
            flavour,
            Path("a.log"),
        )
        assert asked[asked.index("-q") + 1] == "long@big"
        assert asked[asked.index("-A") + 1] == "my-project"
        assert f":{node}" in asked[asked.index("-l") + 1]
        assert asked[-6:] == ["-m", "n", "-P", "lenses", "-W", "group_list=lens ing"]

    @pytest.mark.parametrize("name", ["queue", "account", "pbs_node"])
    @pytest.mark.parametrize("value", ["a b", "x;rm", "$(x)", "it's"])
    def test_what_a_shell_would_read_is_refused(self, name: str, value: str) -> None:
        # Slurm's wrapper puts its arguments into a shell's command line without quotes.
        with pytest.raises(RequestError, match=name):
            arguments(Flavour.TORQUE, **{name: value})

    def test_a_resource_that_is_no_number_is_refused(self) -> None:
        with pytest.raises(RequestError, match=r"mem_mb.*'lots'"):
            arguments(Flavour.TORQUE, mem_mb="lots")

    def test_a_group_is_known_by_its_name_and_writes_what_its_jobs_write(self) -> None:
        group: Any = SimpleNamespace(
            is_group=lambda: True,
            groupid="scores",
            jobid="0123456789-abc",
            jobs=[FakeJob(output=["b"]), FakeJob(output=["a"])],
            threads=2,
            resources={},
        )
        read = JobProperties.of(group)
        assert read.label == ("scores", "01234567")
        assert read.outputs == ("a", "b")


class TestNames:
    @pytest.mark.parametrize(
        ("label", "name"),
        [
            (("train", "nano", "42"), "train-42-nano"),
            (("predict_val", "nano", "42"), "pr_val-42-nano"),
            (("predict_test", "atto", "101", "challenge", "0"), "pr_te-101-a-c-0"),
            (("submission",), "submission"),
            (("train", "my model/v2", "42"), "train-42-my_mod"),
            (("train", "a", "42"), "train-a-42"),
        ],
    )
    def test_torque_keeps_fifteen_characters(self, label: tuple[str, ...], name: str) -> None:
        assert job_name(label, Flavour.TORQUE) == name
        assert len(name) <= 15

    def test_openpbs_keeps_all(self) -> None:
        label = ("predict_test", "nano", "404", "challenge", "0")
        assert job_name(label, Flavour.OPENPBS) == "pr_te-404-nano-challenge-0"

    @pytest.mark.parametrize("flavour", list(Flavour))
    @pytest.mark.parametrize("rule", ["train", "predict_val", "predict_heldout", "predict_test", "run_trial"])
    @pytest.mark.parametrize("seed", ["1", "42", "404", "12345"])
    def test_the_seed_is_within_what_qstat_u_shows(self, flavour: Flavour, rule: str, seed: str) -> None:
        # OpenPBS shows nine characters and a star of a name of more than ten.
        assert f"-{seed}" in job_name((rule, "convnext", seed), flavour)[:9]

    @pytest.mark.parametrize("flavour", list(Flavour))
    def test_predictions_of_one_seed_are_told_apart(self, flavour: Flavour) -> None:
        rules = ("predict_val", "predict_heldout", "predict_test")
        assert len({job_name((rule, "nano", "42"), flavour)[:9] for rule in rules}) == 3

    def test_numbers_that_are_too_long_are_cut(self) -> None:
        assert len(job_name(("r", "1" * 20), Flavour.TORQUE)) == 15
