"""Touchpoints by name, for editors: one function a type of `edge_sdk.wire.touchpoint.TYPES`.

Identifiers are "scheme:value" ("ble:c0ffee123456", "loyalty:17", "cookie:9f3a"). `at_ms` is device
time; leave it out, and it is the time of capture. Each raises TouchpointError for a bad value.
"""

from edge_sdk.wire.touchpoint import Touchpoint, make


def sighting(
    *,
    receiver: str,
    beacon: str,
    window_ms: int,
    readings: int,
    rssi_median_dbm: int,
    rssi_spread_db: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """What one receiver heard of one beacon in one window: how often, the median, the spread."""
    return make(
        "sighting",
        at_ms,
        receiver=receiver,
        beacon=beacon,
        window_ms=window_ms,
        readings=readings,
        rssi_median_dbm=rssi_median_dbm,
        rssi_spread_db=rssi_spread_db,
    )


def visit_enter(
    *,
    visit: int,
    visitor: str,
    zone: str,
    probability_pct: int | None = None,
    ago_low_ms: int | None = None,
    ago_high_ms: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """A visitor is in a zone. `visit` numbers the visits of one gateway start.

    The visit began between `ago_high_ms` and `ago_low_ms` before `at_ms`, four times in five.
    """
    return make(
        "visit.enter",
        at_ms,
        visit=visit,
        visitor=visitor,
        zone=zone,
        probability_pct=probability_pct,
        ago_low_ms=ago_low_ms,
        ago_high_ms=ago_high_ms,
    )


def visit_dwell(
    *,
    visit: int,
    visitor: str,
    zone: str,
    dwell_ms: int,
    probability_pct: int | None = None,
    dwell_low_ms: int | None = None,
    dwell_high_ms: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """The visit goes on; `dwell_ms` since it began, within low and high four times in five."""
    return make(
        "visit.dwell",
        at_ms,
        visit=visit,
        visitor=visitor,
        zone=zone,
        dwell_ms=dwell_ms,
        probability_pct=probability_pct,
        dwell_low_ms=dwell_low_ms,
        dwell_high_ms=dwell_high_ms,
    )


def visit_exit(
    *,
    visit: int,
    visitor: str,
    zone: str,
    dwell_ms: int,
    probability_pct: int | None = None,
    dwell_low_ms: int | None = None,
    dwell_high_ms: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """The visit is over; it lasted `dwell_ms`, within low and high four times in five."""
    return make(
        "visit.exit",
        at_ms,
        visit=visit,
        visitor=visitor,
        zone=zone,
        dwell_ms=dwell_ms,
        probability_pct=probability_pct,
        dwell_low_ms=dwell_low_ms,
        dwell_high_ms=dwell_high_ms,
    )


def position(
    *,
    visitor: str,
    x_cm: int,
    y_cm: int,
    sd_x_cm: int,
    sd_y_cm: int,
    floor: int | None = None,
    correlation_pct: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """Where a visitor is on a floor, with standard deviations and their correlation."""
    return make(
        "position",
        at_ms,
        visitor=visitor,
        floor=floor,
        x_cm=x_cm,
        y_cm=y_cm,
        sd_x_cm=sd_x_cm,
        sd_y_cm=sd_y_cm,
        correlation_pct=correlation_pct,
    )


def scan(
    *, scanner: str, symbology: str, code: str, visitor: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """A code was read: `symbology` such as "ean13", "qr"; `visitor` where it is known who."""
    return make("scan", at_ms, scanner=scanner, symbology=symbology, code=code, visitor=visitor)


def call(
    *,
    call: str,
    phase: str,
    number: str,
    caller_state: str,
    caller: str | None = None,
    duration_ms: int | None = None,
    waited_ms: int | None = None,
    cause: str | None = None,
    agent: str | None = None,
    lease: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """One phase of a telephone call: "ring", "answer", "end" or "missed".

    A last phase says how long was waited and spoken, so that it tells the whole call by itself.
    `lease`: the lease of the number that was dialled, where the line knew it.
    """
    return make(
        "call",
        at_ms,
        call=call,
        phase=phase,
        number=number,
        caller=caller,
        caller_state=caller_state,
        duration_ms=duration_ms,
        waited_ms=waited_ms,
        cause=cause,
        agent=agent,
        lease=lease,
    )


def call_outcome(
    *, call: str, outcome: str, agent: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """What a call came to, as who answered it says: "sale", "appointment", "called_back" ..."""
    return make("call.outcome", at_ms, call=call, outcome=outcome, agent=agent)


def number_lease(
    *,
    pool: str,
    number: str,
    session: str,
    ttl_ms: int,
    lease: str | None = None,
    kind: str | None = None,
    ended: bool = False,
    at_ms: int | None = None,
) -> Touchpoint:
    """A number of a pool was lent to a session, a channel or a place; or its lease has ended."""
    return make(
        "number.lease",
        at_ms,
        pool=pool,
        number=number,
        session=session,
        ttl_ms=ttl_ms,
        lease=lease,
        kind=kind,
        ended=int(ended),
    )


def identify(
    *, seen: str, known_as: str, method: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """The owner of an identifier says who she is: `seen` and `known_as` are one person's."""
    return make("identify", at_ms, seen=seen, known_as=known_as, method=method)


def consent(
    *,
    subject: str,
    purpose: str,
    granted: bool,
    source: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """A person allows, or no longer allows, one purpose."""
    return make(
        "consent", at_ms, subject=subject, purpose=purpose, granted=int(granted), source=source
    )


def kiosk_interaction(
    *,
    kiosk: str,
    action: str,
    session: str | None = None,
    target: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """Somebody did something at a kiosk."""
    return make(
        "kiosk.interaction", at_ms, kiosk=kiosk, session=session, action=action, target=target
    )


def page_view(
    *,
    session: str,
    page: str,
    category: str | None = None,
    referrer: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """A page was looked at."""
    return make(
        "page.view", at_ms, session=session, page=page, category=category, referrer=referrer
    )


def ad_click(
    *,
    session: str,
    campaign: str,
    medium: str | None = None,
    click: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """An advertisement was followed."""
    return make("ad.click", at_ms, session=session, campaign=campaign, medium=medium, click=click)


def basket(
    *,
    session: str,
    action: str,
    item: str,
    quantity: int | None = None,
    value_minor: int | None = None,
    currency: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """Something went into or out of a basket."""
    return make(
        "basket",
        at_ms,
        session=session,
        action=action,
        item=item,
        quantity=quantity,
        value_minor=value_minor,
        currency=currency,
    )


def order(
    *,
    customer: str,
    order: str,
    value_minor: int,
    currency: str,
    items: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """An order was placed."""
    return make(
        "order",
        at_ms,
        customer=customer,
        order=order,
        items=items,
        value_minor=value_minor,
        currency=currency,
    )


def return_(
    *,
    customer: str,
    order: str,
    value_minor: int,
    currency: str,
    item: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """Something was brought back."""
    return make(
        "return",
        at_ms,
        customer=customer,
        order=order,
        item=item,
        value_minor=value_minor,
        currency=currency,
    )


def appointment(
    *, customer: str, appointment: str, status: str, starts_at_ms: int, at_ms: int | None = None
) -> Touchpoint:
    """An appointment was made, moved, kept or missed."""
    return make(
        "appointment",
        at_ms,
        customer=customer,
        appointment=appointment,
        status=status,
        starts_at_ms=starts_at_ms,
    )


def collection(*, customer: str, order: str, status: str, at_ms: int | None = None) -> Touchpoint:
    """An order waits for its collection, or was collected."""
    return make("collection", at_ms, customer=customer, order=order, status=status)


def message(
    *,
    customer: str,
    channel: str,
    direction: str,
    action: str,
    campaign: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """A message by chat, social network, e-mail or SMS, in or out."""
    return make(
        "message",
        at_ms,
        customer=customer,
        channel=channel,
        direction=direction,
        campaign=campaign,
        action=action,
    )


def queue_join(
    *, queue: str, ticket: str, customer: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """Somebody drew a ticket."""
    return make("queue.join", at_ms, customer=customer, queue=queue, ticket=ticket)


def queue_leave(
    *,
    queue: str,
    ticket: str,
    outcome: str,
    waited_ms: int,
    customer: str | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """A ticket was served or given up."""
    return make(
        "queue.leave",
        at_ms,
        customer=customer,
        queue=queue,
        ticket=ticket,
        outcome=outcome,
        waited_ms=waited_ms,
    )


def prompt_shown(
    *, prompt: int, offer: str, surface: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """A prompt is on the screen. `Prompt.shown` captures this."""
    return make("prompt.shown", at_ms, prompt=prompt, offer=offer, surface=surface)


def prompt_accepted(
    *, prompt: int, offer: str, surface: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """It was accepted. `Prompt.accepted` captures this."""
    return make("prompt.accepted", at_ms, prompt=prompt, offer=offer, surface=surface)


def prompt_dismissed(
    *, prompt: int, offer: str, surface: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """It was dismissed. `Prompt.dismissed` captures this."""
    return make("prompt.dismissed", at_ms, prompt=prompt, offer=offer, surface=surface)


def prompt_expired(
    *, prompt: int, offer: str, surface: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """Its life ended before it could be shown. The SDK captures this."""
    return make("prompt.expired", at_ms, prompt=prompt, offer=offer, surface=surface)


def prompt_unknown(
    *, prompt: int, offer: str, surface: str | None = None, at_ms: int | None = None
) -> Touchpoint:
    """A crash hides whether it was shown. The SDK captures this."""
    return make("prompt.unknown", at_ms, prompt=prompt, offer=offer, surface=surface)


def device_health(
    *,
    uptime_s: int,
    outbox_bytes: int,
    outbox_batches: int,
    shed_batches: int,
    disk_free_mb: int,
    at_ms: int | None = None,
) -> Touchpoint:
    """How a device is doing."""
    return make(
        "device.health",
        at_ms,
        uptime_s=uptime_s,
        outbox_bytes=outbox_bytes,
        outbox_batches=outbox_batches,
        shed_batches=shed_batches,
        disk_free_mb=disk_free_mb,
    )


def custom(
    *, name: str, subject: str | None = None, data: bytes | None = None, at_ms: int | None = None
) -> Touchpoint:
    """Whatever has no type of its own; `data` is opaque to the bridge."""
    return make("custom", at_ms, name=name, subject=subject, data=data)


def count(
    *,
    counter: str,
    zone: str,
    window_ms: int,
    entered: int | None = None,
    left: int | None = None,
    present: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """How many came and went in the window that ends at `at_ms`, and how many are there then.

    It is of nobody. None: not counted, or so few that the number would tell of one of them.
    """
    return make(
        "count",
        at_ms,
        counter=counter,
        zone=zone,
        window_ms=window_ms,
        entered=entered,
        left=left,
        present=present,
    )


def geolocation(
    *,
    visitor: str,
    latitude_e7: int,
    longitude_e7: int,
    accuracy_cm: int | None = None,
    at_ms: int | None = None,
) -> Touchpoint:
    """Where a visitor is on the globe (WGS 84, 1e-7 degrees), within `accuracy_cm` two in three."""
    return make(
        "geolocation",
        at_ms,
        visitor=visitor,
        latitude_e7=latitude_e7,
        longitude_e7=longitude_e7,
        accuracy_cm=accuracy_cm,
    )
