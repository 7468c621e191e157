"""What can be wrong with a radio, and what to do about it: one table for logs, docs and doctor."""

ABSENT = "absent"
OFF = "off"
DENIED = "denied"
NO_SERVICE = "no_service"
SILENT = "silent"
FAILED = "failed"

# What is the matter, and what to do.
TROUBLES: dict[str, tuple[str, str]] = {
    ABSENT: ("there is no such adapter", "plug it in, or name one that `bluetoothctl list` shows"),
    OFF: ("it is switched off", "`rfkill unblock bluetooth`, then `bluetoothctl power on`"),
    DENIED: (
        "this user may not use Bluetooth",
        "add the user to the group `bluetooth`, or see docs/bluetooth.md for a D-Bus policy",
    ),
    NO_SERVICE: (
        "the system's Bluetooth service does not answer",
        "`systemctl start bluetooth`; in a container, mount the host's D-Bus socket",
    ),
    SILENT: (
        "it hears nothing at all",
        "it is reset by itself; if that never helps, plug it in again or replace it",
    ),
    FAILED: ("it cannot scan", "look into `journalctl -u bluetooth`"),
}

# What D-Bus errors mean, by their names; any other is FAILED.
OF_DBUS_ERROR = {
    "org.freedesktop.DBus.Error.AccessDenied": DENIED,
    "org.freedesktop.DBus.Error.AuthFailed": DENIED,
    "org.bluez.Error.NotAuthorized": DENIED,
    "org.bluez.Error.NotReady": OFF,
    "org.freedesktop.DBus.Error.UnknownObject": ABSENT,
    "org.freedesktop.DBus.Error.UnknownMethod": ABSENT,  # so BlueZ answers on an absent path
    "org.freedesktop.DBus.Error.ServiceUnknown": NO_SERVICE,
    "org.freedesktop.DBus.Error.NameHasNoOwner": NO_SERVICE,
    "org.freedesktop.DBus.Error.NoReply": NO_SERVICE,
}
