"""A stage whose bridge forgets, for what must notice it."""

import shutil
from pathlib import Path
from typing import Any

from benches._stage import Stage


class Forgetful(Stage):
    """From its second start on the bridge is what it was before its first one."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self._backup = folder / "backup"

    def start(self) -> float:
        if self._backup.exists():
            shutil.rmtree(self.home)
            shutil.copytree(self._backup, self.home)
        else:
            shutil.copytree(self.home, self._backup)
        return super().start()
