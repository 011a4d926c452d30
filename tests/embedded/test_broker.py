"""`embedded.broker`: history, expiry, recovery and limits."""

from __future__ import annotations

import pytest

from monitor.embedded.broker import Broker, Item
from monitor.embedded.namespaces import Namespace

ANY = (Namespace(name="a", size=3, ttl=10.0, pattern=".*"),)


class Listener:
    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []

    def push(self, channel: str, item: Item, epoch: str) -> None:
        assert epoch
        self.received.append((channel, item.data))


@pytest.fixture
def broker() -> Broker:
    return Broker(ANY)


def offsets(broker: Broker, channel: str, now: float = 0.0) -> list[int]:
    return [item.offset for item in broker.stream(channel, now).items]


def test_only_the_newest_publications_are_kept(broker: Broker) -> None:
    for number in range(5):
        broker.publish("a:x", str(number), "{}", 0.0)
    assert offsets(broker, "a:x") == [3, 4, 5]


def test_publications_expire_together_and_the_position_remains(broker: Broker) -> None:
    broker.publish("a:x", "1", "{}", 0.0)
    broker.publish("a:x", "2", "{}", 9.0)
    epoch = broker.stream("a:x", 9.0).epoch
    assert offsets(broker, "a:x", 18.9) == [1, 2]
    assert offsets(broker, "a:x", 19.0) == []
    assert (broker.stream("a:x", 19.0).epoch, broker.stream("a:x", 19.0).offset) == (epoch, 2)


def test_missed_publications_are_recovered_only_if_all_are_stored(broker: Broker) -> None:
    for number in range(5):
        broker.publish("a:x", str(number), "{}", 0.0)
    epoch = broker.stream("a:x", 0.0).epoch
    assert [item.offset for item in broker.since("a:x", epoch, 3, 0.0) or ()] == [4, 5]
    assert broker.since("a:x", epoch, 5, 0.0) == []
    assert broker.since("a:x", "", 5, 0.0) == []
    for lost in ((epoch, 1), (epoch, 6), ("other", 5)):
        assert broker.since("a:x", *lost, 0.0) is None


def test_idle_channels_beyond_the_limit_are_removed() -> None:
    broker, listener = Broker(ANY, max_idle=2), Listener()
    broker.subscribe("a:subscribed", listener, 0.0)
    epochs = {name: broker.stream(name, 0.0).epoch for name in ("a:subscribed", "a:1", "a:2", "a:3")}
    assert broker.stream("a:subscribed", 0.0).epoch == epochs["a:subscribed"], "a subscribed channel is never removed"
    assert broker.stream("a:3", 0.0).epoch == epochs["a:3"]
    assert broker.stream("a:1", 0.0).epoch != epochs["a:1"]
    assert broker.streams == 3


def test_a_channel_may_be_removed_after_its_last_unsubscribe() -> None:
    broker, listener = Broker(ANY, max_idle=1), Listener()
    broker.subscribe("a:x", listener, 0.0)
    broker.stream("a:1", 0.0)
    broker.unsubscribe("a:x", listener)
    assert broker.streams == 1


def test_storage_is_limited_and_the_oldest_publication_is_removed_first() -> None:
    broker = Broker(ANY, max_stored=100)
    broker.publish("a:old", "x" * 60, "{}", 0.0)
    broker.publish("a:new", "y" * 60, "{}", 0.0)
    assert (offsets(broker, "a:old"), offsets(broker, "a:new")) == ([], [1])
    assert broker.stored <= 100


def test_one_channel_cannot_exceed_the_storage_limit() -> None:
    broker = Broker(ANY, max_stored=100)
    for _ in range(3):
        broker.publish("a:x", "x" * 60, "{}", 0.0)
    assert broker.stored <= 100


def test_expired_publications_are_removed_without_a_request(broker: Broker) -> None:
    broker.publish("a:x", "x" * 60, "{}", 0.0)
    broker.publish("a:y", "y", "{}", 11.0)
    assert broker.stored < 60


def test_a_subscriber_may_unsubscribe_during_a_push(broker: Broker) -> None:
    class UnsubscribingListener(Listener):
        def push(self, channel: str, item: Item, epoch: str) -> None:
            super().push(channel, item, epoch)
            broker.unsubscribe(channel, self)

    first, second = UnsubscribingListener(), UnsubscribingListener()
    for listener in (first, second):
        broker.subscribe("a:x", listener, 0.0)
    broker.publish("a:x", "1", "{}", 0.0)
    broker.publish("a:x", "2", "{}", 0.0)
    assert first.received == second.received == [("a:x", "1")]
