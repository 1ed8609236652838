"""A line of numbers for each worker, every ``metrics_interval``: the smallest useful metrics plugin."""

from core_messaging import hookimpl
from core_messaging.snapshot import Snapshot


class SimpleMetrics:
    """Has one hook. The engine does the counting; this only tells."""

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        for worker in snapshot.workers:
            done, failed = worker.counters["succeeded"], worker.counters["dead_lettered"]
            print(
                f"{worker.name}: {done} done, {failed} dead-lettered, {worker.in_flight} in flight, lag {worker.lag}"
            )


plugin = SimpleMetrics()
