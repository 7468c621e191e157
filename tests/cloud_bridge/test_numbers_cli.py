from pathlib import Path

import pytest

from cloud_bridge.cli import main
from tests.cloud_bridge.test_numbers_file import GOOD, written


def test_a_file_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "check", str(written(tmp_path, GOOD))]) == 0
    assert "web: 5 numbers, for 5 min at least, likely callers apart" in capsys.readouterr().out
    faulty = written(tmp_path, GOOD.replace("FR", "XX"))
    assert main(["numbers", "check", str(faulty)]) != 0
    assert "region" in capsys.readouterr().err


def test_a_pool_is_sized(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["numbers", "size", "--visitors-per-hour", "120", "--hold-minutes", "5"]
    assert main([*asked, "--late", "0.2", "--price", "1.5", "--lent-out", "4"]) == 0
    told = capsys.readouterr().out
    assert "both targets" in told
    assert "lent to stores" in told
    assert main([*asked, "--late", "0"]) != 0
