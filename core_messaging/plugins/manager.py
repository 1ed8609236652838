"""Finds, checks, configures and registers plugins. One at a time: a broken one never takes the others with it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pluggy

from core_messaging.discovery.entry_points import (
    Advertised,
    Unreadable,
    points_of,
    unreadable_of,
    warn_of_unreadable,
)
from core_messaging.errors import CoreMessagingError, PluginError, cause_of, text_of
from core_messaging.logs.tracebacks import cause_and_place, exc_info_of
from core_messaging.observers import Observers
from core_messaging.plugins import hookspecs
from core_messaging.plugins.call_timing import log_call, traced
from core_messaging.plugins.config import (
    configure,
    refuse_shared_ports,
    refuse_unavailable,
    sections_of,
    warn_of_misspelt_variables,
    warn_of_unknown,
)
from core_messaging.plugins.dispatch import Implementation, tell_all
from core_messaging.plugins.hook_check import Implementations, Incompatible, attribute_of, check, hooks_of
from core_messaging.plugins.isolation import Apart, leave_behind, within
from core_messaging.plugins.middleware import Plain, wrap_all
from core_messaging.plugins.registrations import Offer, Registered, Registrations, asked, contested
from core_messaging.plugins.unavailable import PluginUnavailable
from core_messaging.settings import Settings, environment, words
from core_messaging.snapshot import HookCalls, Snapshot

logger = logging.getLogger("core_messaging.plugins")

GROUP = "core.plugins"
# States that somebody has to look at. The others are "ok", "disabled" and "unavailable" (an extra is missing).
WRONG = ("broken", "conflict", "incompatible", "switched off")


@dataclass(slots=True)
class PluginReport:
    """What an operator wants to know of one plugin. ``seconds``: how long its import took."""

    name: str
    label: str  # distribution and version
    distribution: str = ""
    version: str = ""
    state: str = "ok"
    cause: str = ""
    file: str = ""
    hooks: tuple[str, ...] = ()
    seconds: float = 0.0
    plugin: Any = field(default=None, repr=False)
    took: dict[str, float] = field(default_factory=dict)  # seconds of the hooks called while it was loaded
    offers: dict[str, tuple[Offer[Any], ...]] = field(default_factory=dict, repr=False)  # by kind

    @property
    def said_state(self) -> str:
        """The state as it follows "is" in a sentence."""
        return "in conflict" if self.state == "conflict" else self.state

    @property
    def usable(self) -> bool:
        """Whether its hooks are called. Of one that registers what another one registers too, the rest is used."""
        return self.plugin is not None and self.state in ("ok", "conflict")


def entry_points() -> tuple[Advertised, ...]:
    """The entry points of the group."""
    return points_of(GROUP)


class Plugins:
    """The plugins of this process. Made by ``load``; ``observers()`` is what the engine sees of them."""

    def __init__(self, reports: list[PluginReport], settings: Settings) -> None:
        self._reports = reports
        self._limit = settings.plugin_timeout
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for report in reports:
            if report.usable:
                hooks = Implementations(hooks_of(report.plugin).items())
                self._manager.register(hooks, name=report.name)
        self._implementations = {
            hook: [Implementation(hook, impl, settings.plugin_timeout) for impl in self._impls(hook)]
            for hook in hookspecs.OBSERVERS
        }
        self._plain = {
            hook: [Plain(impl.plugin_name, impl.function) for impl in self._impls(hook)]
            for hook in ("serve", "wrap_process")
        }

    def _impls(self, hook: str) -> list[pluggy.HookImpl]:
        # In the order of registration; pluggy itself would call the last one first.
        found: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
        return found

    def observers(self) -> Observers:
        """The slots of the engine, None wherever nobody listens."""
        runner_pool = {hook: tell_all(found) for hook, found in self._implementations.items()}
        return Observers(
            **runner_pool,
            wrap_process=wrap_all(self._plain["wrap_process"]),
            success_wants_context=any(
                "context" in each.arguments for each in self._implementations["on_success"]
            ),
        )

    def registrations(self) -> Registrations:
        """The brokers and codecs of all of them."""
        return registrations(self._reports)

    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        """Let plugins start what answers questions. Raises PluginError, and a CoreMessagingError of their own."""
        for implementation in self._plain["serve"]:
            calling = partial(implementation.function, *[snapshot for _ in implementation.arguments])
            with implementation.counted() as call:
                call.error = error = await self._ended(calling)
            if isinstance(error, CoreMessagingError):
                raise error
            if error is not None:
                report = self._report_of(implementation.plugin_name)
                logger.error(
                    "plugin %s: serve %s",
                    report.name,
                    _what(error),
                    exc_info=exc_info_of(error),
                    extra={"plugin": report.name, "action": "plugin failed"},
                )
                raise PluginError(
                    f"plugin {report.name} ({report.label}): serve {_what(error)}; "
                    f"mend what it needs, or start with --disable-plugin {report.name}"
                ) from error

    async def _ended(self, calling: Callable[[], Any]) -> BaseException | None:
        """Call it, and wait ``plugin_timeout`` seconds at most where it is async; what it raised."""
        try:
            outcome = calling()
        except BaseException as error:
            return error
        if not inspect.isawaitable(outcome):
            return None
        call = Apart(outcome)
        await within(self._limit, [call])
        if call.task.done():
            return call.error
        call.give_up()
        return TimeoutError(f"it took longer than plugin_timeout = {self._limit:g} s")

    def calls(self) -> list[HookCalls]:
        """How often each implementation was called, how often it failed, and how long it took."""
        observers = [
            HookCalls(each.plugin, hook, each.calls, each.failures, each.seconds, each.breaker.is_open)
            for hook, found in self._implementations.items()
            for each in found
        ]
        others = [
            HookCalls(each.plugin_name, hook, each.calls, each.failures, each.seconds, switched_off=False)
            for hook, called in self._plain.items()
            for each in called
        ]
        return [*observers, *others]

    def redactors(self) -> list[tuple[str, Callable[..., Any]]]:
        """Each plugin that has ``redact``, and its function."""
        return [(impl.plugin_name, impl.function) for impl in self._impls("redact")]

    def trace(self) -> None:
        """Log every hook call with its time: those made so far, and from now on."""
        for report in self._reports:
            for hook, seconds in report.took.items():
                log_call(report.name, hook, (), seconds)
        for hook in self._plain:
            for each in self._plain[hook]:
                each.function = traced(each.plugin_name, hook, each.arguments, each.function)
        for found in self._implementations.values():
            for implementation in found:
                implementation.trace()

    def report(self) -> list[PluginReport]:
        """One row a plugin, by name."""
        for hook, found in self._implementations.items():
            for implementation in found:
                if implementation.breaker.is_open:
                    self._switched_off(implementation.plugin, hook)
        return sorted(self._reports, key=lambda report: report.name)

    def _switched_off(self, plugin: str, hook: str) -> None:
        report = self._report_of(plugin)
        report.state, report.cause = "switched off", f"{hook} keeps failing"

    def _report_of(self, plugin: str) -> PluginReport:
        return next(report for report in self._reports if report.name == plugin)

    async def close(self) -> None:
        """Tell plugins that have a ``close`` method or coroutine that all is over."""
        for report in self._reports:
            closing = attribute_of(report.plugin, "close") if report.usable else None
            error = None if closing is None else await self._ended(closing)
            if error is not None:
                logger.error(
                    "plugin %s: close() %s",
                    report.name,
                    _what(error),
                    exc_info=exc_info_of(error),
                    extra={"plugin": report.name, "action": "plugin close failed"},
                )
        for found in self._implementations.values():
            for implementation in found:
                implementation.end()
        leave_behind()


def _what(error: BaseException) -> str:
    return f"raised {cause_of(error)}"


def load(
    settings: Settings,
    *,
    disable: Iterable[str] = (),
    only: Container[str] | None = None,
    root: Path | None = None,
) -> Plugins:
    """Load all plugins (*only* some of them) that are not disabled, and configure them.

    Raises ConfigurationError where a plugin's section is wrong, or is of one that is unavailable: half-configured is
    worse than not started.
    """
    reports = find(settings, disable=disable, only=only)
    sections = sections_of(root or Path.cwd())
    if only is None:
        warn_of_unknown(sections, [report.name for report in reports])
        warn_of_misspelt_variables(reports, settings)
    refuse_shared_ports(reports, sections, settings, processes=1)
    for report in reports:
        section = sections.get(report.name, {})
        if report.usable:
            configure(report, section, settings)
        elif report.state == "unavailable":
            refuse_unavailable(report, section, settings, [other.name for other in reports])
    return Plugins(reports, settings)


def check_ports(settings: Settings, processes: int, *, disable: Iterable[str] = ()) -> None:
    """Raises ConfigurationError where plugins need one port twice in *processes* processes. Configures none."""
    reports = find(settings, disable=disable)
    refuse_shared_ports(reports, sections_of(Path.cwd()), settings, processes)


def find(
    settings: Settings, *, disable: Iterable[str] = (), only: Container[str] | None = None
) -> list[PluginReport]:
    """Import and check every plugin (*only* some of them) that is not disabled; configure none."""
    warn_of_unreadable()
    points = entry_points()
    names = [point.name for point in points]
    unwanted = _unwanted(names, settings, disable)
    reports = []
    for point in points:
        if only is not None and point.name not in only:
            continue
        report = PluginReport(point.name, point.label, point.distribution, point.version)
        reports.append(report)
        if point.name in unwanted:
            report.state, report.cause = "disabled", unwanted[point.name]
        elif names.count(point.name) > 1:
            others = [p.label for p in points if p.name == point.name and p is not point]
            report.state, report.cause = "conflict", f"{', '.join(others)} uses the same name"
        else:
            _load(report, point.load)
    for report in reports:
        _tell_conflicts(report, reports)
    if only is None:
        reports += [_unread(each) for each in unreadable_of(GROUP)]
    return reports


def _unread(each: Unreadable) -> PluginReport:
    return PluginReport(each.label.partition(" ")[0], each.label, state="broken", cause=each.cause)


def _tell_conflicts(report: PluginReport, reports: Sequence[PluginReport]) -> None:
    """A name that two plugins claim is nobody's; what else they do is used."""
    if not report.usable:
        return
    twin = next((r for r in reports if r is not report and r.usable and r.plugin is report.plugin), None)
    if twin is not None:
        report.state, report.cause = "conflict", f"it is the same object as plugin {twin.name} ({twin.label})"
        report.plugin = None
    for kind in report.offers:
        every = [offer for r in reports if r.usable for offer in r.offers.get(kind, ())]
        for name, others in contested(every, f"{report.name} ({report.label})").items():
            report.state = "conflict"
            report.cause = (
                f"the {kind} {name!r} is also registered by {', '.join(others)}; disable one of them"
            )


def registrations(reports: Iterable[PluginReport]) -> Registrations:
    """What usable plugins register; the broken ones are named to whoever misses something."""
    usable = [report for report in reports if report.usable]
    broken = tuple(
        f"{r.name} ({r.label}): {r.cause}" for r in reports if r.state in ("broken", "incompatible")
    )

    def every(kind: str) -> tuple[Offer[Any], ...]:
        return tuple(offer for report in usable for offer in report.offers.get(kind, ()))

    return Registrations(
        brokers=Registered("broker", every("broker"), broken),
        codecs=Registered("codec", every("codec"), broken),
    )


def _unwanted(names: list[str], settings: Settings, disable: Iterable[str]) -> dict[str, str]:
    """name -> who disabled it. CORE_PLUGINS, where set, is the list of those that may load at all."""
    variables = environment(settings)
    told = words(variables.get("CORE_PLUGINS_DISABLE", ""))
    wishes = {
        # The settings have read the environment too; each name is told once.
        "by the setting core_plugins_disable": [n for n in settings.core_plugins_disable if n not in told],
        "by CORE_PLUGINS_DISABLE": told,
        "by --disable-plugin": list(disable),
    }
    unwanted: dict[str, str] = {}
    for who, which in wishes.items():
        _warn_unknown(which, names, who)
        unwanted |= dict.fromkeys(which, who)
    allowed = variables.get("CORE_PLUGINS")
    if allowed is not None:
        _warn_unknown(words(allowed), names, "CORE_PLUGINS")
        unwanted |= {name: "not in CORE_PLUGINS" for name in names if name not in words(allowed)}
    return unwanted


def _warn_unknown(which: Iterable[str], names: list[str], who: str) -> None:
    for name in which:
        if name not in names:
            nearest = get_close_matches(name, names, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "see `core plugins`"
            logger.warning("%s: no plugin is called %r; %s", who, name, hint)


def _load(report: PluginReport, load_plugin: Callable[[], Any]) -> None:
    started = perf_counter()
    try:
        report.plugin = load_plugin()
        report.file = _file_of(report.plugin)
        report.hooks = check(report.plugin)
        report.offers = asked(report.plugin, report.hooks, f"{report.name} ({report.label})", report.took)
    except KeyboardInterrupt:
        raise
    except PluginUnavailable as error:
        report.state, report.cause = "unavailable", text_of(error)
    except Incompatible as error:
        report.state, report.cause = "incompatible", str(error)
    except BaseException as error:
        report.state, report.cause = "broken", cause_and_place(error)
    report.seconds = perf_counter() - started - sum(report.took.values())


def _file_of(plugin: Any) -> str:
    try:
        return inspect.getsourcefile(plugin if inspect.ismodule(plugin) else type(plugin)) or ""
    except TypeError:
        return ""
