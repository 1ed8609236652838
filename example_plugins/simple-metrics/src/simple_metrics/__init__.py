"""The smallest useful metrics plugin: one line of numbers for each worker, every ``metrics_interval``."""

from core_messaging import hookimpl
from core_messaging.snapshot import Snapshot


class SimpleMetrics:
    """Has one hook. The engine counts, and the plugin prints."""

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        for worker in snapshot.workers:
            done, failed = worker.counters["succeeded"], worker.counters["dead_lettered"]
            print(
                f"{worker.name}: {done} done, {failed} dead-lettered, {worker.in_flight} in flight, lag {worker.lag}"
            )


plugin = SimpleMetrics()
