"""What a relay keeps: for how long, in which order, and never more than it may."""

from __future__ import annotations

import pytest

from monitor.embedded.broker import Broker, Item
from monitor.embedded.namespaces import Namespace

ANY = (Namespace(name="a", size=3, ttl=10.0, pattern=".*"),)


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def push(self, channel: str, item: Item, epoch: str) -> None:
        assert epoch
        self.heard.append((channel, item.data))


@pytest.fixture
def broker() -> Broker:
    return Broker(ANY)


def kept(broker: Broker, channel: str, now: float = 0.0) -> list[int]:
    return [item.offset for item in broker.stream(channel, now).items]


def test_only_the_newest_publications_are_kept(broker: Broker) -> None:
    for number in range(5):
        broker.publish("a:x", str(number), "{}", 0.0)
    assert kept(broker, "a:x") == [3, 4, 5]


def test_publications_expire_together_and_their_position_stays(broker: Broker) -> None:
    broker.publish("a:x", "1", "{}", 0.0)
    broker.publish("a:x", "2", "{}", 9.0)
    epoch = broker.stream("a:x", 9.0).epoch
    assert kept(broker, "a:x", 18.9) == [1, 2]
    assert kept(broker, "a:x", 19.0) == []
    assert (broker.stream("a:x", 19.0).epoch, broker.stream("a:x", 19.0).offset) == (epoch, 2)


def test_a_missed_stretch_is_told_only_when_all_of_it_is_there(broker: Broker) -> None:
    for number in range(5):
        broker.publish("a:x", str(number), "{}", 0.0)
    epoch = broker.stream("a:x", 0.0).epoch
    assert [item.offset for item in broker.since("a:x", epoch, 3, 0.0) or ()] == [4, 5]
    assert broker.since("a:x", epoch, 5, 0.0) == []
    assert broker.since("a:x", "", 5, 0.0) == []
    for lost in ((epoch, 1), (epoch, 6), ("other", 5)):
        assert broker.since("a:x", *lost, 0.0) is None


def test_a_channel_nobody_listens_to_is_forgotten_when_there_are_too_many() -> None:
    broker, listener = Broker(ANY, max_idle=2), Listener()
    broker.subscribe("a:held", listener, 0.0)
    epochs = {name: broker.stream(name, 0.0).epoch for name in ("a:held", "a:1", "a:2", "a:3")}
    assert broker.stream("a:held", 0.0).epoch == epochs["a:held"], "a subscribed channel is never forgotten"
    assert broker.stream("a:3", 0.0).epoch == epochs["a:3"]
    assert broker.stream("a:1", 0.0).epoch != epochs["a:1"]
    assert broker.streams == 3


def test_a_channel_can_be_forgotten_once_its_last_subscriber_left() -> None:
    broker, listener = Broker(ANY, max_idle=1), Listener()
    broker.subscribe("a:x", listener, 0.0)
    broker.stream("a:1", 0.0)
    broker.unsubscribe("a:x", listener)
    assert broker.streams == 1


def test_what_is_stored_is_bounded_and_the_oldest_goes_first() -> None:
    broker = Broker(ANY, max_stored=100)
    broker.publish("a:old", "x" * 60, "{}", 0.0)
    broker.publish("a:new", "y" * 60, "{}", 0.0)
    assert (kept(broker, "a:old"), kept(broker, "a:new")) == ([], [1])
    assert broker.stored <= 100


def test_one_channel_may_not_outgrow_the_bound_either() -> None:
    broker = Broker(ANY, max_stored=100)
    for _ in range(3):
        broker.publish("a:x", "x" * 60, "{}", 0.0)
    assert broker.stored <= 100


def test_expired_publications_are_let_go_though_nobody_asks_for_them(broker: Broker) -> None:
    broker.publish("a:x", "x" * 60, "{}", 0.0)
    broker.publish("a:y", "y", "{}", 11.0)
    assert broker.stored < 60


def test_a_subscriber_who_leaves_while_being_told_breaks_nothing(broker: Broker) -> None:
    class Leaving(Listener):
        def push(self, channel: str, item: Item, epoch: str) -> None:
            super().push(channel, item, epoch)
            broker.unsubscribe(channel, self)

    first, second = Leaving(), Leaving()
    for listener in (first, second):
        broker.subscribe("a:x", listener, 0.0)
    broker.publish("a:x", "1", "{}", 0.0)
    broker.publish("a:x", "2", "{}", 0.0)
    assert first.heard == second.heard == [("a:x", "1")]
