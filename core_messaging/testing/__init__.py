"""The testing kit: runs workers with the real engine, without a broker and without real waiting."""

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.testing.background_workbench import BackgroundWorkbench, MakeWorkbench
from core_messaging.testing.faults import Fault, ProcessDied
from core_messaging.testing.outcome import DeadLetter, Failure, HookCall, Outcome, Retry, Success
from core_messaging.testing.simulation import Report, Simulation, simulate, simulate_many
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.testing.workbench import Message, Workbench, process_all, run, run_with, running

__all__ = [
    "BackgroundWorkbench",
    "DeadLetter",
    "Failure",
    "Fault",
    "HookCall",
    "MakeWorkbench",
    "MemoryBroker",
    "Message",
    "Outcome",
    "ProcessDied",
    "Report",
    "Retry",
    "Simulation",
    "Success",
    "Workbench",
    "process_all",
    "run",
    "run_virtually",
    "run_with",
    "running",
    "simulate",
    "simulate_many",
]
