from pathlib import Path

from oneshot_vos.training.job import write_curves


def test_every_value_has_a_file_that_dvc_plots_reads(tmp_path: Path) -> None:
    rows = [{"iteration": 10, "loss": 0.5, "p": 1.0}, {"iteration": 20, "loss": 0.25, "extra": 1e-07}]
    write_curves(tmp_path / "run", rows)
    place = tmp_path / "run/plots/metrics/train"
    assert (place / "loss.tsv").read_text(encoding="utf-8") == "step\tloss\n10\t0.5\n20\t0.25\n"
    assert (place / "p.tsv").read_text(encoding="utf-8") == "step\tp\n10\t1.0\n"
    assert (place / "extra.tsv").read_text(encoding="utf-8") == "step\textra\n20\t1e-07\n"


def test_values_of_a_former_training_are_gone(tmp_path: Path) -> None:
    write_curves(tmp_path, [{"iteration": 1, "old": 1.0}])
    write_curves(tmp_path, [{"iteration": 1, "new": 1.0}])
    assert [file.name for file in (tmp_path / "plots/metrics/train").iterdir()] == ["new.tsv"]
