"""Topics: a device's name comes back from each, and no other name passes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire import topics

tenants = st.text("abcxyz0129-_.", min_size=1, max_size=32)
lanes = st.sampled_from([topics.LIVE, topics.BULK, topics.DOWN])
devices = st.integers(0, (1 << 32) - 1)


@given(tenant=tenants, lane=lanes, device=devices)
@settings(max_examples=100, deadline=None)
def test_a_device_comes_back(tenant: str, lane: str, device: int) -> None:
    assert topics.is_tenant(tenant)
    name = topics.topic(tenant, lane, device)
    assert topics.device_of(name) == device
    assert topics.every_device(tenant, lane) == name.rpartition("/")[0] + "/+"


@given(name=st.text(max_size=60) | st.text("edge/1acmlivbukdown0+#$", max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_name_is_of_one_topic_or_of_none(name: str) -> None:
    device = topics.device_of(name)
    if device is not None:
        _, _, tenant, lane, _ = name.split("/")
        assert topics.topic(tenant, lane, device) == name


@given(tenant=tenants, lane=lanes, device=devices, data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_name_is_another_device_or_none(
    tenant: str, lane: str, device: int, data: st.DataObject
) -> None:
    name = topics.topic(tenant, lane, device)
    at = data.draw(st.integers(0, len(name) - 1))
    changed = name[:at] + data.draw(st.characters()) + name[at + 1 :]
    other = topics.device_of(changed)
    if other is not None:
        _, _, its_tenant, its_lane, _ = changed.split("/")
        assert topics.topic(its_tenant, its_lane, other) == changed


@given(name=st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_tenant_is_a_plain_level_of_a_topic(name: str) -> None:
    if topics.is_tenant(name):
        assert not set(name) & set("/+#$ \0")
        assert name.isascii()
