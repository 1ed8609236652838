"""The testing kit: run real workers with the real engine, without a broker and without waiting."""

from core_messaging.brokers.memory import MemoryBroker
from core_messaging.testing.beside import run_with
from core_messaging.testing.faults import Fault
from core_messaging.testing.simulation import ProcessDied, Report, Simulation, simulate, simulate_many
from core_messaging.testing.virtual_clock import run_virtually

__all__ = [
    "Fault",
    "MemoryBroker",
    "ProcessDied",
    "Report",
    "Simulation",
    "run_virtually",
    "run_with",
    "simulate",
    "simulate_many",
]
