"""bleak's BlueZ scanner without the objects that it makes of each advertisement: a quarter less.

bleak talks to BlueZ, keeps its devices and finds out what has changed; what is left out are the
BLEDevice, the AdvertisementData and the table of everything seen. It overrides a method that bleak
does not promise to keep (`USABLE` says whether it is there), and a test tells when bleak has moved.
Linux only.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.bluezdbus.scanner import BleakScannerBlueZDBus

# address, RSSI in dBm (-127: BlueZ did not say), manufacturer data, service data, address type
Heard = Callable[[str, int, Mapping[int, bytes], Mapping[str, bytes], str], None]

_METHOD = "_handle_advertising_data"
_NOTHING: Mapping[Any, bytes] = {}


def _usable() -> bool:
    method = getattr(BleakScannerBlueZDBus, _METHOD, None)
    return method is not None and [*inspect.signature(method).parameters] == [
        "self",
        "path",
        "props",
    ]


USABLE = _usable()


class LeanScanner(BleakScannerBlueZDBus):
    """A scanner of bleak's (`start`, `stop`) that hands over what BlueZ said, and keeps nothing."""

    def __init__(self, heard: Heard, bluez: BlueZScannerArgs) -> None:
        super().__init__(None, None, "active", bluez=bluez)
        self._heard = heard

    def _handle_advertising_data(self, path: str, props: Any) -> None:
        get = props.get
        self._heard(
            props["Address"],
            get("RSSI", -127),
            get("ManufacturerData", _NOTHING),
            get("ServiceData", _NOTHING),
            get("AddressType", ""),
        )
