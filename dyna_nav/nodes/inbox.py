"""Topics that are read when they are wanted, rather than answered when they speak.

An executor in Python spends about a millisecond on waking, whatever for. A node that decides ten or twenty times a
second and hears forty clocks and hundreds of odometries in between would wake for nothing most of the time. Here the
middleware keeps the newest messages, as it does anyway, and no executor waits for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock as ClockMessage

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# For topics that reach everybody they must reach, or whose silence is told elsewhere: the warnings of a mismatch would
# cost, each time that the executor waits, more than the topic itself.
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class Received(NamedTuple):
    """A message, and how long it has waited in this process to be read [s]."""

    message: Any
    waited: float


class Inbox:
    """What arrives on one topic and was not read yet: the newest messages, as many as its depth.

    Best effort, unless it has to be reliable: the newest counts, a lost one is not worth waiting for.
    """

    def __init__(
        self, node: Node, message_type: type, topic: str, depth: int = 1, reliable: bool = False,
        read: Callable[[type, bytes], Any] | None = None,
    ) -> None:  # fmt: skip
        """``read(message_type, data)`` makes a message of its serialised form; by default rclpy does."""
        self._node, self._depth, self._read = node, depth, read
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=depth, reliability=reliability)
        self._subscription = node.create_subscription(message_type, topic, _unheard, qos, **_asleep())

    def read(self) -> list[Received]:
        """The messages that wait, at most as many as fit, the oldest first; none of them is read twice."""
        found = []
        while len(found) < self._depth and (received := _take(self._subscription, self._read)) is not None:
            found.append(received)
        return found

    def close(self) -> None:
        """Take the subscription down."""
        self._node.destroy_subscription(self._subscription)


class ClockOnDemand:
    """For a node, named before its base class: simulated time is heard whenever ``get_clock`` is asked for it.

    The executor does not wake for ``/clock``, and time goes on for a node that computes for long: what it sends at the
    end of a cycle would otherwise bear the stamp of the beginning. Safe to ask from any thread. Real time is as ever.
    """

    _clock_heard: tuple[Subscription, Callable[[ClockMessage], None]] | None = None
    _clock_lock = threading.Lock()  # two threads must not set the time in the wrong order

    def create_subscription(self, msg_type: type, topic: str, callback: Callable, *args: Any, **options: Any):
        """As of the node; the one of ``/clock``, which rclpy makes itself, is only read on demand."""
        if msg_type is not ClockMessage:
            return super().create_subscription(msg_type, topic, callback, *args, **options)
        subscription = super().create_subscription(msg_type, topic, callback, *args, **{**options, **_asleep()})
        self._clock_heard = subscription, callback
        return subscription

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """As of the node; rclpy lets go of ``/clock`` when ``use_sim_time`` is taken back."""
        if self._clock_heard is not None and subscription is self._clock_heard[0]:
            self._clock_heard = None
        return super().destroy_subscription(subscription)

    def get_clock(self) -> Clock:
        """The node's clock, up to date."""
        with self._clock_lock:
            if self._clock_heard is not None:
                subscription, set_time = self._clock_heard
                if (received := _take(subscription)) is not None:  # rclpy keeps the newest alone
                    set_time(received.message)
        return super().get_clock()


class _Asleep(CallbackGroup):
    """Subscriptions that no executor waits for."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        return None


def _asleep() -> dict:
    """Options of such a subscription."""
    return {"callback_group": _Asleep(), "event_callbacks": NO_EVENTS}


def _unheard(message: Any) -> None:
    """Called by nobody: rclpy makes no subscription without a callback."""


def _take(subscription: Subscription, read: Callable[[type, bytes], Any] | None = None) -> Received | None:
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, read is not None)
    if taken is None:
        return None
    message, info = taken
    if read is not None:
        message = read(subscription.msg_type, message)
    received = info["received_timestamp"] * 1e-9  # by the system's clock; 0 where the middleware does not say
    return Received(message, max(time.time() - received, 0.0) if received else 0.0)
