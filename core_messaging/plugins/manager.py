"""Finds, checks, configures and registers plugins, one at a time: a broken plugin does not affect the others."""

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
from core_messaging.plugins.isolation import IsolatedCall, abandon_unfinished, wait_within
from core_messaging.plugins.middleware import DirectHook, wrap_all
from core_messaging.plugins.registrations import Offer, Registered, Registrations, contested, offers_of
from core_messaging.plugins.unavailable import PluginUnavailable
from core_messaging.settings import Settings, environment, words
from core_messaging.snapshot import HookCalls, Snapshot

logger = logging.getLogger("core_messaging.plugins")

GROUP = "core.plugins"
# States that are a problem. The others are "ok", "disabled" and "unavailable" (an optional package is missing).
WRONG = ("broken", "conflict", "incompatible", "switched off")


@dataclass(slots=True)
class PluginReport:
    """What is known of one plugin. ``seconds``: how long its import took."""

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
        """The state in words that follow "is" in a sentence."""
        return "in conflict" if self.state == "conflict" else self.state

    @property
    def usable(self) -> bool:
        """Whether its hooks are called. If two plugins register the same name, their other hooks are still called."""
        return self.plugin is not None and self.state in ("ok", "conflict")


def entry_points() -> tuple[Advertised, ...]:
    """Return the entry points of the group ``core.plugins``."""
    return points_of(GROUP)


class Plugins:
    """The plugins of this process. ``load`` makes it; ``observers()`` is the part that the engine uses."""

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
        self._direct = {
            hook: [DirectHook(impl.plugin_name, impl.function) for impl in self._impls(hook)]
            for hook in ("serve", "wrap_process")
        }

    def _impls(self, hook: str) -> list[pluggy.HookImpl]:
        # In the order of registration. pluggy itself would call the one registered last first.
        found: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
        return found

    def observers(self) -> Observers:
        """Return one function for each event, for the engine; None where no plugin observes it."""
        functions = {hook: tell_all(found) for hook, found in self._implementations.items()}
        return Observers(
            **functions,
            wrap_process=wrap_all(self._direct["wrap_process"]),
            success_wants_context=any(
                "context" in each.arguments for each in self._implementations["on_success"]
            ),
        )

    def registrations(self) -> Registrations:
        """Return the brokers and codecs of all plugins."""
        return registrations(self._reports)

    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        """Call the hooks ``serve``. Raises PluginError, or the CoreMessagingError that a plugin raises."""
        for implementation in self._direct["serve"]:
            function = partial(implementation.function, *[snapshot for _ in implementation.arguments])
            with implementation.counted() as call:
                call.error = error = await self._call(function)
            if isinstance(error, CoreMessagingError):
                raise error
            if error is not None:
                report = self._report_of(implementation.plugin_name)
                logger.error(
                    "plugin %s: serve %s",
                    report.name,
                    _raised(error),
                    exc_info=exc_info_of(error),
                    extra={"plugin": report.name, "action": "plugin failed"},
                )
                raise PluginError(
                    f"plugin {report.name} ({report.label}): serve {_raised(error)}; "
                    f"correct what it needs, or start with --disable-plugin {report.name}"
                ) from error

    async def _call(self, function: Callable[[], Any]) -> BaseException | None:
        """Call *function*; if it is async, wait ``plugin_timeout`` seconds at most. Return what it raised, or None."""
        try:
            outcome = function()
        except BaseException as error:
            return error
        if not inspect.isawaitable(outcome):
            return None
        call = IsolatedCall(outcome)
        await wait_within(self._limit, [call])
        if call.task.done():
            return call.error
        call.give_up()
        return TimeoutError(f"it took longer than plugin_timeout = {self._limit:g} s")

    def calls(self) -> list[HookCalls]:
        """Return how many times each implementation was called and failed, and how many seconds it took."""
        observers = [
            HookCalls(each.plugin, hook, each.calls, each.failures, each.seconds, each.breaker.is_open)
            for hook, found in self._implementations.items()
            for each in found
        ]
        others = [
            HookCalls(each.plugin_name, hook, each.calls, each.failures, each.seconds, switched_off=False)
            for hook, called in self._direct.items()
            for each in called
        ]
        return [*observers, *others]

    def redactors(self) -> list[tuple[str, Callable[..., Any]]]:
        """Each plugin that has ``redact``, and its function."""
        return [(impl.plugin_name, impl.function) for impl in self._impls("redact")]

    def trace(self) -> None:
        """Log every hook call with its time: the calls made so far, and each later one."""
        for report in self._reports:
            for hook, seconds in report.took.items():
                log_call(report.name, hook, (), seconds)
        for hook in self._direct:
            for each in self._direct[hook]:
                each.function = traced(each.plugin_name, hook, each.arguments, each.function)
        for found in self._implementations.values():
            for implementation in found:
                implementation.trace()

    def report(self) -> list[PluginReport]:
        """Return one report for each plugin, sorted by name."""
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
        """Call ``close`` of each plugin that has one. Call this last."""
        for report in self._reports:
            close = attribute_of(report.plugin, "close") if report.usable else None
            error = None if close is None else await self._call(close)
            if error is not None:
                logger.error(
                    "plugin %s: close() %s",
                    report.name,
                    _raised(error),
                    exc_info=exc_info_of(error),
                    extra={"plugin": report.name, "action": "plugin close failed"},
                )
        for found in self._implementations.values():
            for implementation in found:
                implementation.end()
        abandon_unfinished()


def _raised(error: BaseException) -> str:
    return f"raised {cause_of(error)}"


def load(
    settings: Settings,
    *,
    disable: Iterable[str] = (),
    only: Container[str] | None = None,
    root: Path | None = None,
) -> Plugins:
    """Load all plugins that are not disabled, and configure them.

    *only*: names of the plugins to load; None: all. *root*: the folder of the project; None: the current folder.

    Raises ConfigurationError where the configuration of a plugin is wrong, PluginError where ``configure`` fails or a
    configured plugin is unavailable: a worker must not start with half of its configuration.
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
    """Check that no two plugins in *processes* processes listen on the same port. Configures no plugin.

    Raises ConfigurationError.
    """
    reports = find(settings, disable=disable)
    refuse_shared_ports(reports, sections_of(Path.cwd()), settings, processes)


def find(
    settings: Settings, *, disable: Iterable[str] = (), only: Container[str] | None = None
) -> list[PluginReport]:
    """Import and check every plugin that is not disabled; configure none. *only*: names to look at; None: all."""
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
        _note_conflicts(report, reports)
    if only is None:
        reports += [_unreadable_report(each) for each in unreadable_of(GROUP)]
    return reports


def _unreadable_report(each: Unreadable) -> PluginReport:
    return PluginReport(each.label.partition(" ")[0], each.label, state="broken", cause=each.cause)


def _note_conflicts(report: PluginReport, reports: Sequence[PluginReport]) -> None:
    """Mark *report* if another plugin registers the same name. Neither is used for that name; their other hooks are."""
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
    """Return what usable plugins register. Errors about a missing name list the broken plugins."""
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
    """Return the disabled plugins: name -> what disabled it. CORE_PLUGINS, if set, lists all plugins that may load."""
    variables = environment(settings)
    in_environment = words(variables.get("CORE_PLUGINS_DISABLE", ""))
    in_settings = [name for name in settings.core_plugins_disable if name not in in_environment]
    disabled_by = {
        "by the setting core_plugins_disable": in_settings,  # which has read the environment too
        "by CORE_PLUGINS_DISABLE": in_environment,
        "by --disable-plugin": list(disable),
    }
    unwanted: dict[str, str] = {}
    for who, which in disabled_by.items():
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
        report.offers = offers_of(report.plugin, report.hooks, f"{report.name} ({report.label})", report.took)
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
