"""Implements ``core_messaging.broker`` in memory, for tests."""

from core_messaging.memory_broker.broker import MemoryBroker

__all__ = ["MemoryBroker"]
