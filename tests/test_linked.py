"""Links where outputs are to lie; that both engines ask about them is tested in tests/pipeline."""

from pathlib import Path

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.linked import refuse_links


@pytest.mark.parametrize("place", ["data", "results", "data/smoke", "results/smoke", "data/smoke/sets/train"])
def test_a_link_above_outputs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    refuse_links("smoke")
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    refuse_links("smoke")
    (tmp_path / "disk").mkdir()
    Path(place).symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match=rf"^{place}: a link to {tmp_path}/disk; .*cache\.dir"):
        refuse_links("smoke")
