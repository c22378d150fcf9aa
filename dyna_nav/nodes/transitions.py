"""Lifecycle transitions that say what went wrong: rclpy drops what a callback raises without a word."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

Transition = Callable[[LifecycleNode, LifecycleState], TransitionCallbackReturn]


def refusable(undo: Callable[[LifecycleNode], None]) -> Callable[[Transition], Transition]:
    """A transition that may be refused: what it raises is logged, ``undo(node)`` is called, the answer is FAILURE.

    ValueError and OSError carry a sentence for the user; any other error is a defect, and logged with its traceback.
    """

    def decorate(transition: Transition) -> Transition:
        @functools.wraps(transition)
        def guarded(self: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return transition(self, state)
            except (ValueError, OSError) as error:
                self.get_logger().error(f"not {_done(transition)}: {error}")
            except Exception:
                self.get_logger().fatal(f"not {_done(transition)}:\n{traceback.format_exc()}")
            undo(self)
            return TransitionCallbackReturn.FAILURE

        return guarded

    return decorate


def loudly(transition: Transition) -> Transition:
    """A transition that cannot be refused: what it raises is logged before rclpy turns it into the error state."""

    @functools.wraps(transition)
    def logged(self: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception:
            self.get_logger().fatal(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            raise

    return logged


def _done(transition: Transition) -> str:
    """``configured`` for ``on_configure``."""
    return transition.__name__.removeprefix("on_").removesuffix("e") + "ed"
